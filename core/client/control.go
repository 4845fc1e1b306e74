package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/ipcore/ipcore/core/wire"
)

// onEngines sends one control request to each engine (nil: all registered) and
// waits for the replies. It joins the errors of all engines.
func (c *Client) onEngines(ctx context.Context, ids []int, msgType string, content any) error {
	ids, uuids, err := c.targets(ids)
	if err != nil {
		return fmt.Errorf("%s: %w", msgType, err)
	}
	errs := make([]error, len(ids))
	var all sync.WaitGroup
	for i := range ids {
		all.Go(func() {
			if err := c.request(ctx, c.control, uuids[i], ids[i], msgType, content, nil); err != nil {
				errs[i] = fmt.Errorf("engine %d: %w", ids[i], err)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// Abort removes requests from the queues of engines (nil: all registered): the given
// msg_ids, or every waiting execution if there are none. A request that is already
// running continues; Signal interrupts it. Aborted requests end with TaskAborted.
func (c *Client) Abort(ctx context.Context, ids []int, msgIDs ...string) error {
	if msgIDs == nil {
		msgIDs = []string{}
	}
	return c.onEngines(ctx, ids, "abort_request", map[string]any{"msg_ids": msgIDs})
}

// Signal sends a signal, such as "SIGINT", to engines (nil: all registered).
// SIGINT raises KeyboardInterrupt in the running code.
func (c *Client) Signal(ctx context.Context, ids []int, name string) error {
	return c.onEngines(ctx, ids, "signal_request", map[string]any{"sig": name})
}

// Clear empties the namespaces of engines (nil: all registered).
func (c *Client) Clear(ctx context.Context, ids []int) error {
	return c.onEngines(ctx, ids, "clear_request", struct{}{})
}

// Shutdown stops engines (nil: all registered) and, if hub is set, the controller
// after them; the client is then closed with ErrShutdown. An engine that disconnects
// without a reply counts as stopped.
func (c *Client) Shutdown(ctx context.Context, ids []int, hub bool) error {
	err := c.onEngines(ctx, ids, "shutdown_request", map[string]any{"restart": false})
	if isOnly(err, engineGone) {
		err = nil
	}
	if !hub || err != nil {
		return err
	}
	if err := c.ask(ctx, "shutdown_request", struct{}{}, nil); err != nil && !errors.Is(err, ErrShutdown) {
		return err
	}
	return nil
}

// engineGone reports whether err says that an engine did not reply because it, or
// the controller, has ended.
func engineGone(err error) bool {
	var remote *wire.RemoteError
	return errors.Is(err, ErrNoEngines) || errors.Is(err, ErrShutdown) || errors.As(err, &remote) && remote.Ename == "EngineError"
}

// isOnly reports whether is holds for err, or for each of the errors that it joins.
func isOnly(err error, is func(error) bool) bool {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			if !is(e) {
				return false
			}
		}
		return true
	}
	return err != nil && is(err)
}

// EngineQueue counts the requests of one engine.
type EngineQueue struct {
	Queue     int `json:"queue"`     // direct requests without a reply yet
	Completed int `json:"completed"` // requests with a reply
	Tasks     int `json:"tasks"`     // tasks assigned to it by the task queue
}

// QueueStatus counts the requests of a cluster.
type QueueStatus struct {
	Engines    map[int]EngineQueue
	Unassigned int // tasks that wait for an engine
}

// QueueStatus returns how many requests are waiting and completed on engines (nil:
// all that ever registered).
func (c *Client) QueueStatus(ctx context.Context, ids []int) (QueueStatus, error) {
	var reply map[string]json.RawMessage
	s := QueueStatus{Engines: make(map[int]EngineQueue)}
	var targets any // null: all
	if ids != nil {
		targets = ids
	}
	if err := c.ask(ctx, "queue_request", map[string]any{"targets": targets, "verbose": false}, &reply); err != nil {
		return s, err
	}
	for key, value := range reply {
		id, err := strconv.Atoi(key)
		switch {
		case key == "unassigned":
			err = json.Unmarshal(value, &s.Unassigned)
		case err != nil:
			continue // the reply's own status
		default:
			var q EngineQueue
			err = json.Unmarshal(value, &q)
			s.Engines[id] = q
		}
		if err != nil {
			return s, fmt.Errorf("queue_request: %s of the reply: %w", key, err)
		}
	}
	return s, nil
}

// Record is one request in the controller's database, its fields by name.
type Record map[string]json.RawMessage

// DBQuery returns matching records. query has MongoDB's form ({"completed": {"$ne":
// nil}}); keys are the fields to return (empty: all but buffers).
func (c *Client) DBQuery(ctx context.Context, query map[string]any, keys ...string) ([]Record, error) {
	if query == nil {
		query = map[string]any{}
	}
	var reply struct {
		Records []Record `json:"records"`
	}
	err := c.ask(ctx, "db_request", map[string]any{"query": query, "keys": keys}, &reply)
	return reply.Records, err
}

// History returns the msg_ids of all requests in the controller's database, oldest
// first.
func (c *Client) History(ctx context.Context) ([]string, error) {
	var reply struct {
		History []string `json:"history"`
	}
	err := c.ask(ctx, "history_request", struct{}{}, &reply)
	return reply.History, err
}
