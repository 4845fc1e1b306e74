package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// controllerEnded returns a channel that is closed when the cluster's own controller has
// ended. It is nil for engines that joined another controller.
func (c *Cluster) controllerEnded() <-chan struct{} {
	if c.controller == nil {
		return nil
	}
	return c.controller.ended
}

// watchLosses makes the launchers report their status at once when the controller has lost
// engines, so that the cause is known.
func (c *Cluster) watchLosses() {
	ended := c.controllerEnded()
	for c.watching.Err() == nil {
		err := c.opts.view.WatchEngines(c.watching, c.clientFile(), func() {
			c.log.Debug("the controller has lost engines; asking the launchers for the cause")
			for _, w := range c.workloads() {
				w.requestStatus()
			}
		})
		if err != nil && c.watching.Err() == nil {
			c.log.Debug("can't watch the engines through the controller", "error", err)
		}
		select {
		case <-c.watching.Done():
		case <-ended:
			return
		case <-time.After(reopenPause):
		}
	}
}

// awaitEngines waits until as many engines have registered as Start waits for. It fails if
// all engines have ended, or if none has registered in time. With fewer engines it succeeds
// and sends a note, if the others have ended or are still waiting for resources.
func (c *Cluster) awaitEngines(ctx context.Context, w *workload) error {
	want := c.opts.Wait
	if want == WaitNone {
		c.opts.Progress(Progress{Stage: StageRunning, N: c.opts.N})
		return nil
	}
	waiting, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	have := make(chan int, 1)
	done := make(chan error, 1)
	go func() {
		done <- c.opts.view.WaitEngines(waiting, c.clientFile(), c.enginesBefore+want, func(n int) {
			select {
			case <-have: // discard a number that was not received yet
			default:
			}
			have <- max(0, n-c.enginesBefore)
		})
	}()
	finish := func() {
		cancel()
		<-done //nolint:errcheck // the error is that of the canceled context
	}
	registered := 0
	for {
		select {
		case n := <-have:
			registered = n
			c.opts.Progress(Progress{Stage: StageEngines, Have: n, N: c.opts.N, Waiting: w.waiting()})
			if left := w.aliveCount(); left > 0 && n < want && n >= left {
				finish()
				c.continueWithFewer(w, n)
				return nil
			}
		case err := <-done:
			if err == nil {
				registered = max(registered, want)
				select {
				case n := <-have:
					registered = max(registered, n)
				default:
				}
				c.opts.Progress(Progress{Stage: StageRunning, Have: registered, N: c.opts.N})
				return nil
			}
			return c.registrationFailed(ctx, w, registered, err)
		case <-w.updates:
			if left := w.aliveCount(); left > 0 && registered >= left {
				finish()
				c.continueWithFewer(w, registered)
				return nil
			}
			c.opts.Progress(Progress{Stage: StageEngines, Have: registered, N: c.opts.N, Waiting: w.waiting()})
		case <-w.ended:
			finish()
			return w.failure(allEngines(c.opts.N), "before all had registered")
		case <-c.controllerEnded():
			finish()
			return c.controller.failure("the controller", "while the engines registered")
		}
	}
}

// registrationFailed decides whether the start failed, after waiting for registrations
// ended with err.
func (c *Cluster) registrationFailed(ctx context.Context, w *workload, registered int, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case !errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("ask the controller for its engines: %w", err)
	case registered == 0 && !w.hasPending():
		return &RegistrationTimeoutError{N: c.opts.N, Timeout: c.opts.Timeout, Output: tail(w.lastOutput(ctx)), LogDir: c.opts.Profile.LogDir()}
	}
	c.continueWithFewer(w, registered)
	return nil
}

// continueWithFewer reports that the cluster continues with fewer engines than requested.
func (c *Cluster) continueWithFewer(w *workload, registered int) {
	c.save(w) // before it is reported
	text := fmt.Sprintf("%d of %d engines have registered", registered, c.opts.N)
	died := w.endedEngines()
	if waiting := w.waiting(); waiting != "" {
		text += "; " + waiting
	} else if waiting := c.opts.N - registered - len(died); waiting > 0 {
		text += fmt.Sprintf("; %d may still register", waiting)
	}
	if len(died) > 0 {
		last := died[len(died)-1]
		text += fmt.Sprintf("; %d ended, the last with %s", len(died), exitOf(last.Exit))
		if output := tail(last.Text); output != "" {
			text += " and this output:\n" + indent(output)
		}
	}
	c.opts.Progress(Progress{Stage: StageNote, Note: text})
	c.opts.Progress(Progress{Stage: StageRunning, Have: registered, N: c.opts.N})
}

// allEngines returns the engines in words.
func allEngines(n int) string {
	if n == 1 {
		return "the engine"
	}
	return fmt.Sprintf("all %d engines", n)
}
