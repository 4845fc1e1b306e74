package cluster

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/client"
)

// registration waits until n engines have registered with the controller of a
// connection file, telling have how many it is so far. It ends with ctx's error
// at the latest.
type registration func(ctx context.Context, clientFile string, n int, have func(int)) error

// registerByClient asks the controller as any client does.
func registerByClient(log hclog.Logger) registration {
	return func(ctx context.Context, clientFile string, n int, have func(int)) error {
		c, err := client.Connect(ctx, client.Options{File: clientFile, Log: log})
		if err != nil {
			return err
		}
		defer c.Close()
		return c.WaitForEngines(ctx, n, have)
	}
}

// awaitEngines waits until all engines have registered. It gives up when none
// can come any more, or when none has come in time. Fewer than asked for are
// enough to go on with when the rest has ended or is still waiting for its
// turn; a note says so.
func (c *Cluster) awaitEngines(ctx context.Context, u *unit) error {
	waiting, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	have := make(chan int, 1)
	done := make(chan error, 1)
	go func() {
		done <- c.opts.register(waiting, c.clientFile(), c.opts.N, func(n int) {
			select {
			case <-have: // the one before was not taken yet
			default:
			}
			have <- n
		})
	}()
	finish := func() {
		cancel()
		<-done //nolint:errcheck // of the wait that was cancelled
	}
	registered := 0
	for {
		select {
		case n := <-have:
			registered = n
			c.opts.Progress(Progress{Stage: StageEngines, Have: n, N: c.opts.N})
			if left := u.remaining(); left > 0 && n < c.opts.N && n >= left {
				finish()
				c.note(u, n)
				return nil
			}
		case err := <-done:
			if err == nil {
				c.opts.Progress(Progress{Stage: StageRunning, Have: c.opts.N, N: c.opts.N})
				return nil
			}
			return c.late(ctx, u, registered, err)
		case <-u.news:
			if left := u.remaining(); left > 0 && registered >= left {
				finish()
				c.note(u, registered)
				return nil
			}
		case <-u.ended:
			finish()
			return u.failure(enginesOf(c.opts.N), "before all had registered")
		case <-c.controller.ended:
			finish()
			return c.controller.failure("the controller", "while the engines registered")
		}
	}
}

// late says what it means that registration ended with err.
func (c *Cluster) late(ctx context.Context, u *unit, registered int, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case !errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("ask the controller for its engines: %w", err)
	case registered == 0:
		return &LateError{N: c.opts.N, Timeout: c.opts.Timeout, Output: tail(u.lastOutput(ctx)), LogDir: c.opts.Profile.LogDir()}
	}
	c.note(u, registered)
	return nil
}

// note tells that the cluster goes on with fewer engines than asked for.
func (c *Cluster) note(u *unit, registered int) {
	c.save(u) // before anybody is told
	text := fmt.Sprintf("%d of %d engines have registered", registered, c.opts.N)
	died := u.deaths()
	if waiting := c.opts.N - registered - len(died); waiting > 0 {
		text += fmt.Sprintf("; %d may still come", waiting)
	}
	if len(died) > 0 {
		last := died[len(died)-1]
		text += fmt.Sprintf("; %d ended, the last with %s", len(died), Exit{Code: last.Exit.Code, Signal: last.Exit.Signal})
		if output := tail(last.Text); output != "" {
			text += " and this output:\n" + indent(output)
		}
	}
	c.opts.Progress(Progress{Stage: StageNote, Note: text})
	c.opts.Progress(Progress{Stage: StageRunning, Have: registered, N: c.opts.N})
}

func enginesOf(n int) string {
	if n == 1 {
		return "the engine"
	}
	return fmt.Sprintf("all %d engines", n)
}
