package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ipcore/ipcore/core/wire"
)

// ExecuteOptions control how code is run. The zero value suits most callers.
type ExecuteOptions struct {
	// Silent suppresses the output value (Result.Data) and keeps the request
	// out of the engine's history.
	Silent bool
	// Expressions are evaluated after the code. Their values are returned in
	// Result.Expressions under the same names.
	Expressions map[string]string
	// Output, if not nil, is called with output of the code as it arrives;
	// stream is "stdout" or "stderr". Result.Stdout and Result.Stderr then stay
	// empty. Output is called on the client's goroutines, one call at a time for
	// all engines, and must not wait for the client.
	Output func(engine int, stream, text string)
	// Label is stored with the request in the controller's database.
	Label string
}

// TaskOptions control where, when and how often a task is run.
type TaskOptions struct {
	ExecuteOptions
	// Targets are the ids of the engines that may run the task; empty means any.
	Targets []int
	// After are msg_ids of tasks that must have succeeded before this one starts.
	After []string
	// Follow are msg_ids of tasks; this one must run on the engine that ran them.
	Follow []string
	// Retries is how often the task is run again, on another engine, when it fails.
	Retries int
	// Timeout is how long the task may wait for an engine; 0 means forever.
	Timeout time.Duration
	// Done, if not nil, is called when the task has ended. It is called on one of
	// the client's goroutines and must not wait for the client.
	Done func(*Task)
}

// Result is the outcome of a request on one engine.
type Result struct {
	Engine int    // id of the engine; -1 when no engine ran the request
	UUID   string // uuid of the engine
	MsgID  string // msg_id of the request
	Status string // "ok", "error" or "aborted"; empty when there was no reply
	Count  int    // execution count of the engine, the n of Python's Out[n]; 0 when unknown
	Stdout string
	Stderr string
	// Data is the value of the last expression by MIME type.
	Data map[string]json.RawMessage
	// Display has the code's displayed outputs in order, each by MIME type.
	Display []map[string]json.RawMessage
	// Expressions are the values of ExecuteOptions.Expressions.
	Expressions map[string]Expression
	// Err is the exception that ended the code, or nil. Its ename is EngineError
	// when the engine died, and TaskAborted when the request was aborted.
	Err       *wire.RemoteError
	Started   time.Time // by the engine's clock; zero when unknown
	Completed time.Time
}

// Text returns the value of the last expression as text, or "".
func (r *Result) Text() string { return plain(r.Data) }

// Expression is the value of one named expression.
type Expression struct {
	Data map[string]json.RawMessage // by MIME type
	Err  *wire.RemoteError          // the exception that its evaluation raised, or nil
}

// Text returns the value as text: Python's repr.
func (e Expression) Text() string { return plain(e.Data) }

func plain(data map[string]json.RawMessage) string {
	var s string
	if json.Unmarshal(data["text/plain"], &s) != nil {
		return ""
	}
	return s
}

// Errors joins the errors of results. It returns nil if there are none.
func Errors(results []Result) error {
	var all []error
	for i := range results {
		if results[i].Err != nil {
			all = append(all, results[i].Err)
		}
	}
	return errors.Join(all...)
}

// Task is an execution request in progress.
type Task struct {
	MsgID string

	c      *Client
	engine int // the engine it was sent to; -1 for the task queue
	uuid   string
	done   chan struct{}
	result Result // valid once done is closed
	err    error
}

// Done is closed when the task has ended.
func (t *Task) Done() <-chan struct{} { return t.done }

// Wait waits for the task and returns its result, or an error that says why there
// is no result. If ctx ends first, the task continues.
func (t *Task) Wait(ctx context.Context) (Result, error) {
	select {
	case <-t.done:
		return t.result, t.err
	case <-ctx.Done():
		return Result{Engine: t.engine, UUID: t.uuid, MsgID: t.MsgID}, ctx.Err()
	}
}

// Forget ends the task for this client with ErrForgotten; its reply will be
// dropped. The engine still runs it; use Abort or Signal to stop that.
func (t *Task) Forget() { t.c.forget(t.MsgID) }

// targets returns the ids and uuids of the given engines, or of all if ids is nil.
func (c *Client) targets(ids []int) (sorted []int, uuids []string, err error) {
	if ids == nil {
		if ids = c.IDs(); len(ids) == 0 {
			return nil, nil, ErrNoEngines
		}
	}
	engines := c.Engines()
	for _, id := range ids {
		uuid, ok := engines[id]
		if !ok {
			return nil, nil, fmt.Errorf("engine %d is not registered; registered engines are %v", id, c.IDs())
		}
		uuids = append(uuids, uuid)
	}
	return ids, uuids, nil
}

// Start sends code to engines (nil: all registered engines) and returns one task
// for each, in the order of ids.
func (c *Client) Start(ids []int, code string, o ExecuteOptions) ([]*Task, error) {
	ids, uuids, err := c.targets(ids)
	if err != nil {
		return nil, fmt.Errorf("execute: %w", err)
	}
	metadata := map[string]any{}
	if o.Label != "" {
		metadata["label"] = o.Label
	}
	tasks := make([]*Task, 0, len(ids))
	for i, id := range ids {
		t, err := c.execute(c.mux, id, uuids[i], code, metadata, o, nil)
		if err != nil {
			for _, t := range tasks {
				t.Forget()
			}
			return nil, err
		}
		tasks = append(tasks, t)
	}
	return tasks, nil
}

// Execute runs code on engines (nil: all registered engines) and waits until each
// has replied and its output is complete. The results are in the order of ids; an
// error on an engine is in its Result. If ctx ends first, Execute returns its error
// and the results so far; the other results have an empty Status.
func (c *Client) Execute(ctx context.Context, ids []int, code string, o ExecuteOptions) ([]Result, error) {
	tasks, err := c.Start(ids, code, o)
	if err != nil {
		return nil, err
	}
	return Gather(ctx, tasks)
}

// Gather waits for tasks and returns their results in order. The error is the
// first one that Wait returned; tasks that have not ended by then are forgotten.
func Gather(ctx context.Context, tasks []*Task) ([]Result, error) {
	results := make([]Result, len(tasks))
	var first error
	for i, t := range tasks {
		r, err := t.Wait(ctx)
		results[i] = r
		if err == nil {
			continue
		}
		if first == nil {
			first = fmt.Errorf("execute: %w", err)
		}
		t.Forget()
	}
	return results, first
}

// Submit sends code to the task queue, which runs it on one engine. While no engine
// is registered, the task waits.
func (c *Client) Submit(code string, o TaskOptions) (*Task, error) {
	metadata := map[string]any{}
	if len(o.Targets) > 0 {
		_, uuids, err := c.targets(o.Targets)
		if err != nil {
			return nil, fmt.Errorf("submit: %w", err)
		}
		metadata["targets"] = uuids
	}
	if len(o.After) > 0 {
		metadata["after"] = o.After
	}
	if len(o.Follow) > 0 {
		metadata["follow"] = o.Follow
	}
	if o.Retries > 0 {
		metadata["retries"] = o.Retries
	}
	if o.Timeout > 0 {
		metadata["timeout"] = o.Timeout.Seconds()
	}
	if o.Label != "" {
		metadata["label"] = o.Label
	}
	return c.execute(c.task, -1, "", code, metadata, o.ExecuteOptions, o.Done)
}

// execute sends one execute_request.
func (c *Client) execute(l *link, engine int, uuid, code string, metadata any, o ExecuteOptions, done func(*Task)) (*Task, error) {
	expressions := o.Expressions
	if expressions == nil {
		expressions = map[string]string{}
	}
	id, frames, err := c.newMessage("execute_request", uuid, metadata, map[string]any{
		"code": code, "silent": o.Silent, "user_expressions": expressions,
	})
	if err != nil {
		return nil, err
	}
	k := &call{link: l, uuid: uuid, execution: true, output: o.Output, finished: done, done: make(chan struct{})}
	k.result = Result{Engine: engine, UUID: uuid, MsgID: id}
	k.task = &Task{MsgID: id, c: c, engine: engine, uuid: uuid, done: k.done}
	if err := c.send(k, id, frames); err != nil {
		return nil, err
	}
	return k.task, nil
}

// takeExecuteReply reads an execute_reply, or an error from the task queue, and
// reports whether the call is complete: all output has arrived, or none is
// expected. The caller holds c.mu.
func (c *Client) takeExecuteReply(k *call, m *wire.Message) (complete bool) {
	r := &k.result
	if meta, err := wire.PeekMetadata(m.Metadata); err == nil {
		if meta.Engine != "" {
			k.uuid, r.UUID = meta.Engine, meta.Engine
			if id, ok := c.ids[meta.Engine]; ok {
				r.Engine = id
			}
		}
		r.Started = date(meta.Started)
	}
	if h, err := wire.PeekHeader(m.Header); err == nil {
		r.Completed = date(h.Date)
	}
	var content struct {
		Status      string `json:"status"`
		Count       *int   `json:"execution_count"`
		Expressions map[string]struct {
			Status string                     `json:"status"`
			Data   map[string]json.RawMessage `json:"data"`
		} `json:"user_expressions"`
	}
	if err := c.session.Unpack(m.Content, &content); err != nil {
		k.err = fmt.Errorf("content of the reply: %w", err)
		return true
	}
	r.Status = content.Status
	if content.Count != nil {
		r.Count = *content.Count
	}
	if r.Err != nil && r.Err.EngineInfo != nil {
		if id, ok := c.ids[r.Err.EngineInfo.UUID]; ok {
			r.Err.EngineInfo.ID = id // engines before 8.2 say -1
		}
	}
	for name, e := range content.Expressions {
		if r.Expressions == nil {
			r.Expressions = make(map[string]Expression)
		}
		value := Expression{Data: e.Data}
		if e.Status == "error" {
			value.Err = c.expressionError(m.Content, name)
		}
		r.Expressions[name] = value
	}
	fromEngine := r.Status == "ok" || r.Err != nil && r.Err.EngineInfo != nil
	return k.idle || r.Status == "aborted" || !fromEngine || c.gone[k.uuid]
}

// expressionError returns the error of one named expression.
func (c *Client) expressionError(packed []byte, name string) *wire.RemoteError {
	var content struct {
		Expressions map[string]json.RawMessage `json:"user_expressions"`
	}
	remote := new(wire.RemoteError)
	err := c.session.Unpack(packed, &content)
	if err == nil {
		err = json.Unmarshal(content.Expressions[name], remote)
	}
	if err != nil {
		return wire.NewRemoteError("ValueError", "unreadable error of expression "+name+": "+err.Error())
	}
	return remote
}

// date parses a date of a message. It returns the zero time for an invalid one.
func date(s string) time.Time {
	t, err := wire.ParseDate(s)
	if err != nil {
		return time.Time{}
	}
	return t
}

// onOutput handles messages that engines publish. Most may belong to other clients'
// requests, so it checks the parent first.
func (c *Client) onOutput(frames [][]byte) {
	m, err := wire.Parse(frames)
	if err != nil {
		c.log.Warn("dropped a publication", "error", err)
		return
	}
	parent, err := wire.PeekHeader(m.Parent)
	if err != nil || parent.Session != c.session.ID {
		return
	}
	c.mu.Lock()
	k := c.calls[parent.MsgID]
	c.mu.Unlock()
	if k == nil {
		return
	}
	if m, err = c.session.Open(frames); err != nil {
		c.log.Warn("dropped a publication", "error", err)
		return
	}
	h, err := wire.PeekHeader(m.Header)
	if err != nil {
		c.log.Warn("dropped a publication", "error", err)
		return
	}
	var content struct {
		State string                     `json:"execution_state"`
		Name  string                     `json:"name"`
		Text  string                     `json:"text"`
		Data  map[string]json.RawMessage `json:"data"`
	}
	switch h.MsgType {
	case "status", "stream", "execute_result", "display_data":
	default:
		return
	}
	if err := c.session.Unpack(m.Content, &content); err != nil {
		c.log.Warn("dropped a publication", "type", h.MsgType, "error", err)
		return
	}
	var say func()
	var ended []*call
	c.mu.Lock()
	k.last = time.Now()
	switch h.MsgType {
	case "status":
		if content.State == "idle" {
			k.idle = true
			if k.replied && c.calls[parent.MsgID] == k {
				ended = []*call{k}
				c.endAll(ended, nil)
			}
		}
	case "stream":
		switch {
		case k.output != nil:
			engine, ok := c.ids[h.Session]
			if !ok {
				engine = k.result.Engine
			}
			say = func() { k.output(engine, content.Name, content.Text) }
		case content.Name == "stderr":
			k.stderr = append(k.stderr, content.Text...)
		default:
			k.stdout = append(k.stdout, content.Text...)
		}
	case "execute_result":
		k.result.Data = content.Data
	case "display_data":
		k.result.Display = append(k.result.Display, content.Data)
	}
	c.mu.Unlock()
	if say != nil {
		say()
	}
	runFinished(ended)
}
