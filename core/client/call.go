package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ipcore/ipcore/core/wire"
)

// outputGrace is how long a call waits for the engine's idle message after the reply
// and after the last output.
const outputGrace = 5 * time.Second

// call is one request in progress. Client.mu guards it until done is closed.
type call struct {
	link *link
	uuid string // the engine it was sent to; for a task, the engine that replied

	// For execution requests.
	execution bool
	output    func(engine int, stream, text string)
	finished  func(*Task)
	task      *Task
	result    Result
	stdout    []byte
	stderr    []byte
	idle      bool
	last      time.Time   // time of the last output
	watch     *time.Timer // waits for the idle message

	// For other requests.
	content json.RawMessage

	replied bool
	err     error // why there is no reply
	done    chan struct{}
}

// newMessage packs and signs a request. uuid is the engine; "" is the controller.
func (c *Client) newMessage(msgType, uuid string, metadata, content any) (id string, frames [][]byte, err error) {
	h := c.session.NewHeader(msgType)
	m, err := c.session.MessageWith(h, nil, metadata, content)
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", msgType, err)
	}
	if uuid != "" {
		m.Idents = [][]byte{[]byte(uuid)}
	}
	return h.MsgID, m.AppendFrames(nil), nil
}

// send adds a call to the table of calls and sends its message.
func (c *Client) send(k *call, id string, frames [][]byte) error {
	c.mu.Lock()
	if c.reason != nil {
		defer c.mu.Unlock()
		return c.reason
	}
	c.calls[id] = k
	c.mu.Unlock()
	if err := k.link.Send(frames...); err != nil {
		c.mu.Lock()
		delete(c.calls, id)
		c.mu.Unlock()
		return fmt.Errorf("send to the controller's %s socket: %w", k.link.name, err)
	}
	return nil
}

// forget ends a call whose caller no longer waits.
func (c *Client) forget(id string) {
	var ended []*call
	c.mu.Lock()
	if k := c.calls[id]; k != nil {
		ended = []*call{k}
		c.endAll(ended, ErrForgotten)
	}
	c.mu.Unlock()
	runFinished(ended)
}

// ask sends a request to the controller and decodes the content of its reply into v,
// unless v is nil.
func (c *Client) ask(ctx context.Context, msgType string, content, v any) error {
	return c.request(ctx, c.query, "", 0, msgType, content, v)
}

// request sends one request and waits for its reply.
func (c *Client) request(ctx context.Context, l *link, uuid string, engine int, msgType string, content, v any) error {
	id, frames, err := c.newMessage(msgType, uuid, nil, content)
	if err != nil {
		return err
	}
	k := &call{link: l, uuid: uuid, done: make(chan struct{})}
	k.result.Engine, k.result.MsgID = engine, id
	if err := c.send(k, id, frames); err != nil {
		return fmt.Errorf("%s: %w", msgType, err)
	}
	select {
	case <-ctx.Done():
		c.forget(id)
		return fmt.Errorf("%s: no reply: %w", msgType, ctx.Err())
	case <-k.done:
	}
	switch {
	case k.err != nil:
		return fmt.Errorf("%s: %w", msgType, k.err)
	case k.result.Err != nil:
		return fmt.Errorf("%s: %w", msgType, k.result.Err)
	case v == nil:
		return nil
	}
	if err := c.session.Unpack(k.content, v); err != nil {
		return fmt.Errorf("%s: content of the reply: %w", msgType, err)
	}
	return nil
}

// onReply handles a reply on any DEALER socket.
func (c *Client) onReply(frames [][]byte) {
	m, err := c.session.Open(frames)
	if err != nil {
		c.log.Warn("dropped a reply", "error", err)
		return
	}
	parent, err := wire.PeekHeader(m.Parent)
	if err != nil {
		c.log.Warn("dropped a reply", "error", err)
		return
	}
	c.mu.Lock()
	k := c.calls[parent.MsgID]
	if k == nil || k.replied {
		c.mu.Unlock()
		c.log.Debug("dropped a reply to an unknown request", "msg_id", parent.MsgID)
		return
	}
	k.replied = true
	var remote *wire.RemoteError
	if err := c.session.ReplyError(&m); err != nil && !errors.As(err, &remote) {
		k.err = fmt.Errorf("reply: %w", err)
	}
	k.result.Err = remote
	complete := true
	if k.execution && k.err == nil {
		complete = c.takeExecuteReply(k, &m)
	} else {
		k.content = append(k.content, m.Content...)
	}
	var ended []*call
	if complete {
		ended = []*call{k}
		c.endAll(ended, nil)
	} else {
		c.watchOutput(k)
	}
	c.mu.Unlock()
	runFinished(ended)
}

// watchOutput ends a call that has its reply, but no idle message, once there has been
// no output for outputGrace. The caller holds c.mu.
func (c *Client) watchOutput(k *call) {
	k.last = time.Now()
	k.watch = time.AfterFunc(outputGrace, func() {
		c.mu.Lock()
		if c.calls[k.result.MsgID] != k {
			c.mu.Unlock()
			return
		}
		if wait := time.Until(k.last.Add(outputGrace)); wait > 0 {
			k.watch.Reset(wait)
			c.mu.Unlock()
			return
		}
		ended := []*call{k}
		c.endAll(ended, nil)
		c.mu.Unlock()
		c.log.Warn("no idle message from the engine: the output may be incomplete", "msg_id", k.result.MsgID)
		runFinished(ended)
	})
}

// endAll completes calls; those without a reply get err. The caller holds c.mu, and
// calls runFinished after releasing it.
func (c *Client) endAll(calls []*call, err error) {
	for _, k := range calls {
		delete(c.calls, k.result.MsgID)
		if k.watch != nil {
			k.watch.Stop()
		}
		if k.err == nil && !k.replied {
			k.err = err
		}
		k.result.Stdout, k.result.Stderr = string(k.stdout), string(k.stderr)
		if k.task != nil {
			k.task.result, k.task.err = k.result, k.err
		}
		close(k.done)
	}
}

// runFinished calls the callbacks of calls that have ended.
func runFinished(calls []*call) {
	for _, k := range calls {
		if k.finished != nil {
			k.finished(k.task)
		}
	}
}
