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
	// replyGrace is how long a reply of an unregistered engine may still be in
	// flight: it arrives on another connection than the notification.
	replyGrace = 100 * time.Millisecond
	// askAgain is the interval at which WaitForEngines queries the controller, in
	// addition to its notifications.
	askAgain = 2 * time.Second
)

// IDs returns the ids of the registered engines in order.
func (c *Client) IDs() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.engines))
}

// Engines returns the uuids of the registered engines by id.
func (c *Client) Engines() map[int]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.engines)
}

// WaitForEngines waits until at least n engines are registered. progress, if not
// nil, is called with the number at the start and at each change. The error says how
// many engines were registered when ctx ended.
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

// WatchEngines calls changed with the number of registered engines, at the start and
// at each change, until ctx or the client ends. It returns the reason of the end.
func (c *Client) WatchEngines(ctx context.Context, changed func(have int)) error {
	last := -1
	for {
		c.mu.Lock()
		have, change := len(c.engines), c.changed
		c.mu.Unlock()
		if have != last {
			changed(have)
		}
		last = have
		select {
		case <-change:
		case <-ctx.Done():
			return ctx.Err()
		case <-c.closed:
			return c.Reason()
		}
	}
}

// refresh asks the controller for its engines. The reply may be older than
// notifications that arrived meanwhile, so it only adds engines. With replace, which
// is for reconnections, engines that are not in the reply are unregistered.
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
			return fmt.Errorf("connection_reply: engine id %q: %w", text, err)
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

// registered adds an engine unless it is already known to be unregistered.
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

// engineChange wakes callers that wait for engines. The caller holds c.mu.
func (c *Client) engineChange() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// unregistered removes an engine. Direct requests to it end with an EngineError,
// unless a reply arrives within replyGrace.
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

// failLater ends the requests of a lost engine after replyGrace. The caller holds
// c.mu.
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
				continue // the task queue replies
			}
			ended = append(ended, k)
		}
		c.endAll(ended, nil)
		c.mu.Unlock()
		runFinished(ended)
	})
	c.late[timer] = struct{}{}
}

// onNotification handles registrations, unregistrations and the controller's shutdown.
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
