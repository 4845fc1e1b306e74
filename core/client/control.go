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

// onEngines sends one control request to each engine (nil: all registered)
// and waits for the replies. The error joins those of all engines.
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

// Abort takes requests out of the queues of engines (nil: all registered):
// those named, or with none every waiting execution. A request that has begun
// goes on; Signal interrupts it. Aborted requests end with TaskAborted.
func (c *Client) Abort(ctx context.Context, ids []int, msgIDs ...string) error {
	if msgIDs == nil {
		msgIDs = []string{}
	}
	return c.onEngines(ctx, ids, "abort_request", map[string]any{"msg_ids": msgIDs})
}

// Signal sends a signal, such as "SIGINT", to engines (nil: all registered).
// SIGINT raises KeyboardInterrupt in the code that runs.
func (c *Client) Signal(ctx context.Context, ids []int, name string) error {
	return c.onEngines(ctx, ids, "signal_request", map[string]any{"sig": name})
}

// Clear empties the namespaces of engines (nil: all registered).
func (c *Client) Clear(ctx context.Context, ids []int) error {
	return c.onEngines(ctx, ids, "clear_request", struct{}{})
}

// Shutdown ends engines (nil: all registered) and, with hub, then the
// controller, after which the client is closed with ErrShutdown. An engine
// that goes without an answer has done what was asked.
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

// engineGone reports an engine that cannot answer because it, or all, has ended.
func engineGone(err error) bool {
	var remote *wire.RemoteError
	return errors.Is(err, ErrNoEngines) || errors.Is(err, ErrShutdown) || errors.As(err, &remote) && remote.Ename == "EngineError"
}

// isOnly reports whether err, or each of the errors it joins, is as is says.
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
	Queue     int `json:"queue"`     // sent to it directly, not yet replied to
	Completed int `json:"completed"` // replied to
	Tasks     int `json:"tasks"`     // given to it by the task queue
}

// QueueStatus is how busy a cluster is.
type QueueStatus struct {
	Engines    map[int]EngineQueue
	Unassigned int // tasks that wait for an engine
}

// QueueStatus asks how many requests wait and were done on engines (nil: all
// that ever registered).
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
			continue // the status
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

// Record is one request in the controller's database: its fields by name.
type Record map[string]json.RawMessage

// DBQuery finds records: query is in MongoDB's manner ({"completed": {"$ne":
// nil}}), keys are the fields wanted (none: all but buffers).
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

// History answers the msg_ids of all requests that the controller knows,
// oldest first.
func (c *Client) History(ctx context.Context) ([]string, error) {
	var reply struct {
		History []string `json:"history"`
	}
	err := c.ask(ctx, "history_request", struct{}{}, &reply)
	return reply.History, err
}
