package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ipcore/ipcore/core/wire"
)

// ExecuteOptions say how code is run. The zero value is what most callers want.
type ExecuteOptions struct {
	// Silent publishes no output value (Result.Data) and does not count in
	// the engine's history.
	Silent bool
	// Expressions are evaluated after the code; their values come back under
	// the same names.
	Expressions map[string]string
	// Output, when not nil, gets what the code prints, as it comes: stream is
	// "stdout" or "stderr". Result.Stdout and Result.Stderr then stay empty.
	// It is called from the client's own goroutines, must not wait for the
	// client, and may be called for several engines in turn.
	Output func(engine int, stream, text string)
	// Label is kept with the request in the controller's database.
	Label string
}

// TaskOptions say how a task is run: where, when, and how often.
type TaskOptions struct {
	ExecuteOptions
	// Targets are the ids of engines that may run it; none means any.
	Targets []int
	// After are msg_ids of tasks that must have succeeded before.
	After []string
	// Follow are msg_ids of tasks on whose engine it must run.
	Follow []string
	// Retries is how often it is tried elsewhere when it fails.
	Retries int
	// Timeout is how long it may wait for an engine; 0 for ever.
	Timeout time.Duration
	// Done, when not nil, is called when the task has ended, from one of the
	// client's own goroutines: it must not wait for the client.
	Done func(*Task)
}

// Result is what came of a request on one engine.
type Result struct {
	Engine int    // -1 when no engine ran it
	UUID   string // of the engine
	MsgID  string // of the request
	Status string // "ok", "error" or "aborted"; empty when no reply came
	Count  int    // of executions on the engine, the n of Python's Out[n]; 0 when unknown
	Stdout string
	Stderr string
	// Data is the value of the last expression by MIME type.
	Data map[string]json.RawMessage
	// Display is what the code displayed, each by MIME type.
	Display []map[string]json.RawMessage
	// Expressions are the values of ExecuteOptions.Expressions.
	Expressions map[string]Expression
	// Err is the exception that ended the code; nil when there was none. An
	// engine that died is the ename EngineError, an aborted request
	// TaskAborted.
	Err       *wire.RemoteError
	Started   time.Time // on the engine's clock; zero when unknown
	Completed time.Time
}

// Text is the value of the last expression as text; empty when there is none.
func (r *Result) Text() string { return plain(r.Data) }

// Expression is the value of one named expression.
type Expression struct {
	Data map[string]json.RawMessage // by MIME type
	Err  *wire.RemoteError          // the exception that its evaluation raised
}

// Text is the value as text: Python's repr.
func (e Expression) Text() string { return plain(e.Data) }

func plain(data map[string]json.RawMessage) string {
	var s string
	if json.Unmarshal(data["text/plain"], &s) != nil {
		return ""
	}
	return s
}

// Errors joins the errors of results; nil when all went well.
func Errors(results []Result) error {
	var all []error
	for i := range results {
		if results[i].Err != nil {
			all = append(all, results[i].Err)
		}
	}
	return errors.Join(all...)
}

// Task is a request for execution that is under way.
type Task struct {
	MsgID string

	c      *Client
	engine int // it was sent to; -1 for the task queue
	uuid   string
	done   chan struct{}
	result Result // once done is closed
	err    error
}

// Done is closed when the task has ended.
func (t *Task) Done() <-chan struct{} { return t.done }

// Wait waits for the task and answers its result; the error says why there is
// none. When ctx ends first, the task goes on.
func (t *Task) Wait(ctx context.Context) (Result, error) {
	select {
	case <-t.done:
		return t.result, t.err
	case <-ctx.Done():
		return Result{Engine: t.engine, UUID: t.uuid, MsgID: t.MsgID}, ctx.Err()
	}
}

// Forget ends the task for this client, with ErrForgotten: a reply is dropped.
// The engine goes on with it; Abort and Signal stop that.
func (t *Task) Forget() { t.c.forget(t.MsgID) }

// targets answers the engines for ids, or all when ids is nil.
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
			return nil, nil, fmt.Errorf("no engine %d is registered: there are %v", id, c.IDs())
		}
		uuids = append(uuids, uuid)
	}
	return ids, uuids, nil
}

// Start sends code to engines (nil: all that are registered) and answers one
// task for each, in the order of ids.
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

// Execute runs code on engines (nil: all that are registered) and waits until
// each has replied and its output is complete. The results are in the order of
// ids; what went wrong on an engine is in its Result. When ctx ends first, the
// results that came are answered with the error; the others have no Status.
func (c *Client) Execute(ctx context.Context, ids []int, code string, o ExecuteOptions) ([]Result, error) {
	tasks, err := c.Start(ids, code, o)
	if err != nil {
		return nil, err
	}
	return Gather(ctx, tasks)
}

// Gather waits for tasks and answers their results in order. The error is the
// first that a Wait answered; tasks that did not end by then are forgotten.
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

// Submit hands code to the task queue, which runs it on one engine. With no
// engine there the task waits.
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

// takeExecuteReply reads an execute_reply, or a failure that the task queue
// made, and reports whether the call is complete: all output is here, or none
// is to come. The caller holds c.mu.
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

// expressionError reads the error of one named expression.
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

// date reads a date of a message; what is none is the zero time.
func date(s string) time.Time {
	t, err := wire.ParseDate(s)
	if err != nil {
		return time.Time{}
	}
	return t
}

// onOutput takes in what engines publish. Most of it may belong to other
// clients, so the parent is looked at first.
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
