package client

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/ipcore/ipcore/core/wire"
)

const (
	// replyGrace is how long a reply of an engine that was unregistered may
	// still be under way: it comes on another connection than the notice.
	replyGrace = 100 * time.Millisecond
	// askAgain is the interval in which WaitForEngines asks the controller,
	// beside listening to its notifications.
	askAgain = 2 * time.Second
)

// IDs are the ids of the engines that are registered now, in order.
func (c *Client) IDs() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.engines))
}

// Engines are the registered engines: uuids by id.
func (c *Client) Engines() map[int]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.engines)
}

// WaitForEngines waits until at least n engines are registered. progress, when
// not nil, is told the number at the start and at each change. The error names
// how many there were when ctx ended.
func (c *Client) WaitForEngines(ctx context.Context, n int, progress func(have int)) error {
	last := -1
	ask := time.NewTicker(askAgain)
	defer ask.Stop()
	for {
		c.mu.Lock()
		have, changed := len(c.engines), c.changed
		c.mu.Unlock()
		if have != last && progress != nil {
			progress(have)
		}
		last = have
		if have >= n {
			return nil
		}
		select {
		case <-changed:
		case <-ask.C:
			if err := c.refresh(ctx, false); err != nil && ctx.Err() == nil {
				c.log.Debug("cannot ask for the engines", "error", err)
			}
		case <-ctx.Done():
			return fmt.Errorf("%d of %d engines have registered: %w", have, n, ctx.Err())
		case <-c.closed:
			return fmt.Errorf("%d of %d engines have registered: %w", have, n, c.Reason())
		}
	}
}

// WatchEngines tells how many engines are registered, at the start and at each
// change, until ctx or the client ends, and answers why it ended.
func (c *Client) WatchEngines(ctx context.Context, told func(have int)) error {
	last := -1
	for {
		c.mu.Lock()
		have, changed := len(c.engines), c.changed
		c.mu.Unlock()
		if have != last {
			told(have)
		}
		last = have
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-c.closed:
			return c.Reason()
		}
	}
}

// refresh asks the controller for its engines. A reply may be older than the
// notifications that came meanwhile, so it only adds; with replace it is taken
// for the whole truth, as it is after a reconnection.
func (c *Client) refresh(ctx context.Context, replace bool) error {
	var reply struct {
		Engines map[string]string `json:"engines"`
	}
	if err := c.ask(ctx, "connection_request", struct{}{}, &reply); err != nil {
		return err
	}
	now := make(map[int]string, len(reply.Engines))
	for text, uuid := range reply.Engines {
		id, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("connection_reply names an engine %q: %w", text, err)
		}
		now[id] = uuid
	}
	var left []string
	c.mu.Lock()
	if replace {
		for id, uuid := range c.engines {
			if now[id] != uuid {
				left = append(left, uuid)
			}
		}
		for _, uuid := range now {
			delete(c.gone, uuid)
		}
	}
	c.mu.Unlock()
	for _, uuid := range left {
		c.unregistered(uuid)
	}
	for id, uuid := range now {
		c.registered(id, uuid)
	}
	return nil
}

// registered enters an engine unless its end is known already.
func (c *Client) registered(id int, uuid string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone[uuid] || c.engines[id] == uuid {
		return
	}
	c.engines[id] = uuid
	c.ids[uuid] = id
	c.engineChange()
}

// engineChange wakes who waits for engines. The caller holds c.mu.
func (c *Client) engineChange() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// unregistered takes an engine out. What was sent to it directly ends with an
// EngineError, unless the reply is just coming in.
func (c *Client) unregistered(uuid string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone[uuid] || c.reason != nil {
		return
	}
	c.gone[uuid] = true
	id, known := c.ids[uuid]
	if known && c.engines[id] == uuid {
		delete(c.engines, id)
		c.engineChange()
	}
	c.failLater(uuid)
}

// failLater ends the requests of a lost engine after the grace for replies
// that are under way. The caller holds c.mu.
func (c *Client) failLater(uuid string) {
	var timer *time.Timer
	timer = time.AfterFunc(c.grace, func() {
		c.mu.Lock()
		delete(c.late, timer)
		var ended []*call
		for _, k := range c.calls {
			if k.uuid != uuid {
				continue
			}
			if !k.replied && k.link != c.task {
				k.result.Status = "error"
				k.result.Err = wire.NewRemoteError("EngineError",
					fmt.Sprintf("Engine %d died while running task '%s'", k.result.Engine, k.result.MsgID))
			} else if !k.replied {
				continue // the task queue answers
			}
			ended = append(ended, k)
		}
		c.endAll(ended, nil)
		c.mu.Unlock()
		runFinished(ended)
	})
	c.late[timer] = struct{}{}
}

// onNotification follows registrations and the end of the controller.
func (c *Client) onNotification(frames [][]byte) {
	m, err := c.session.Open(frames)
	if err != nil {
		c.log.Warn("dropped a notification", "error", err)
		return
	}
	h, err := wire.PeekHeader(m.Header)
	if err != nil {
		c.log.Warn("dropped a notification", "error", err)
		return
	}
	switch h.MsgType {
	case "registration_notification", "unregistration_notification":
		var engine struct {
			ID   int    `json:"id"`
			UUID string `json:"uuid"`
		}
		if err := c.session.Unpack(m.Content, &engine); err != nil {
			c.log.Warn("dropped a notification", "type", h.MsgType, "error", err)
			return
		}
		if h.MsgType == "registration_notification" {
			c.registered(engine.ID, engine.UUID)
		} else {
			c.unregistered(engine.UUID)
		}
	case "shutdown_notification":
		c.end(ErrShutdown)
	default:
		c.log.Debug("unknown notification", "type", h.MsgType)
	}
}
