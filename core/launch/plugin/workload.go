package plugin

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ipcore/ipcore/sdk"
)

// exitWait is how long a failed call waits to find out whether the plugin has ended.
const exitWait = 500 * time.Millisecond

// Workload is one workload of a plugin, as the host sees it. Every call ends when its
// context does, or with sdk.ErrPluginGone when the plugin does. Errors wrap the errors of
// package sdk.
type Workload struct {
	plugin *Plugin
	kind   sdk.Kind
	id     string
}

// Workload returns the handle of a workload. It does not call the plugin; Start and FromDict
// do.
func (p *Plugin) Workload(kind sdk.Kind, id string) *Workload {
	return &Workload{plugin: p, kind: kind, id: id}
}

// ID returns the workload's id.
func (w *Workload) ID() string { return w.id }

// Kind returns the workload's kind.
func (w *Workload) Kind() sdk.Kind { return w.kind }

// Start starts the workload and returns its state. It sets Kind and ID of r.
func (w *Workload) Start(ctx context.Context, r sdk.StartRequest) (sdk.State, error) {
	r.Kind, r.ID = w.kind, w.id
	return call(ctx, w.plugin, "start", func(ctx context.Context, c *sdk.Client) (sdk.State, error) { return c.Start(ctx, r) })
}

// FromDict restores the workload from a state and returns its current state.
// sdk.ErrNotRunning: it has certainly ended, so the state can be dropped.
func (w *Workload) FromDict(ctx context.Context, s sdk.State) (sdk.State, error) {
	return call(ctx, w.plugin, "restore", func(ctx context.Context, c *sdk.Client) (sdk.State, error) {
		return c.FromDict(ctx, w.kind, w.id, s)
	})
}

// ToDict returns the workload's state.
func (w *Workload) ToDict(ctx context.Context) (sdk.State, error) {
	return call(ctx, w.plugin, "state", func(ctx context.Context, c *sdk.Client) (sdk.State, error) { return c.ToDict(ctx, w.id) })
}

// Stop ends the workload and returns when none of its processes or jobs are left.
func (w *Workload) Stop(ctx context.Context) error {
	return w.do(ctx, "stop", func(ctx context.Context, c *sdk.Client) error { return c.Stop(ctx, w.id) })
}

// Detach makes the plugin forget the workload, which keeps running.
func (w *Workload) Detach(ctx context.Context) error {
	return w.do(ctx, "detach", func(ctx context.Context, c *sdk.Client) error { return c.Detach(ctx, w.id) })
}

// Signal sends a signal, given by number or name, to the workload.
func (w *Workload) Signal(ctx context.Context, signal string) error {
	return w.do(ctx, "signal", func(ctx context.Context, c *sdk.Client) error { return c.Signal(ctx, w.id, signal) })
}

// Output returns the last output of the workload. If remove is true, the launcher deletes
// the output.
func (w *Workload) Output(ctx context.Context, remove bool) (string, error) {
	return call(ctx, w.plugin, "output", func(ctx context.Context, c *sdk.Client) (string, error) { return c.Output(ctx, w.id, remove) })
}

// ConnectionInfo returns a controller's connection files. sdk.ErrUnsupported: the launcher
// does not fetch them, because the controller writes them into the profile.
func (w *Workload) ConnectionInfo(ctx context.Context) (sdk.ConnectionInfo, error) {
	return call(ctx, w.plugin, "connection info", func(ctx context.Context, c *sdk.Client) (sdk.ConnectionInfo, error) {
		return c.ConnectionInfo(ctx, w.id)
	})
}

// Status returns what the launcher's system reports about the workload.
func (w *Workload) Status(ctx context.Context) (sdk.Status, error) {
	return call(ctx, w.plugin, "status", func(ctx context.Context, c *sdk.Client) (sdk.Status, error) { return c.Status(ctx, w.id) })
}

// Script returns what Start would submit, and changes nothing. With check, the system is
// asked whether it would accept it. Script sets Kind and ID of r.
func (w *Workload) Script(ctx context.Context, r sdk.StartRequest, check bool) (sdk.Script, error) {
	r.Kind, r.ID = w.kind, w.id
	return call(ctx, w.plugin, "script", func(ctx context.Context, c *sdk.Client) (sdk.Script, error) { return c.Script(ctx, r, check) })
}

// Orphans returns the processes and jobs on the launcher's system that have a tag.
func (p *Plugin) Orphans(ctx context.Context, q sdk.OrphanQuery) ([]sdk.Orphan, error) {
	return call(ctx, p, "look for orphans", func(ctx context.Context, c *sdk.Client) ([]sdk.Orphan, error) { return c.Orphans(ctx, q) })
}

// RemoveOrphans ends orphans.
func (p *Plugin) RemoveOrphans(ctx context.Context, q sdk.OrphanQuery, s []sdk.Orphan) error {
	_, err := call(ctx, p, "remove orphans", func(ctx context.Context, c *sdk.Client) (struct{}, error) {
		return struct{}{}, c.RemoveOrphans(ctx, q, s)
	})
	return err
}

// Events is a stream of a workload's events.
type Events struct {
	// C receives the events in order. It is closed after the last one, or when the stream
	// ends for another reason.
	C <-chan sdk.Event

	mu  sync.Mutex
	err error
}

// Err returns, after C is closed, why the stream has ended: nil if the workload has ended,
// or else sdk.ErrPluginGone, the context's error, or the plugin's error.
func (e *Events) Err() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

// Events opens the stream of events with numbers greater than after; 0 means all events.
// The stream ends with ctx.
func (w *Workload) Events(ctx context.Context, after uint64) *Events {
	ch := make(chan sdk.Event)
	e := &Events{C: ch}
	go func() { // ends with ctx, the workload or the plugin, and closes C
		defer close(ch)
		err := w.do(ctx, "events", func(ctx context.Context, c *sdk.Client) error {
			return c.Events(ctx, w.id, after, func(ev sdk.Event) error {
				select {
				case ch <- ev:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			})
		})
		e.mu.Lock()
		e.err = err
		e.mu.Unlock()
	}()
	return e
}

func (w *Workload) do(ctx context.Context, what string, f func(context.Context, *sdk.Client) error) error {
	_, err := call(ctx, w.plugin, what, func(ctx context.Context, c *sdk.Client) (struct{}, error) { return struct{}{}, f(ctx, c) })
	return err
}

// call makes one call, which ends with ctx or the plugin.
func call[T any](ctx context.Context, p *Plugin, what string, f func(context.Context, *sdk.Client) (T, error)) (T, error) {
	joined, cancel := context.WithCancel(ctx)
	defer cancel()
	finished := make(chan struct{})
	defer close(finished)
	go func() { // ends with the call
		select {
		case <-p.Done():
			cancel()
		case <-finished:
		}
	}()
	v, err := f(joined, p.rpc)
	if err == nil {
		return v, nil
	}
	var none T
	if p.hasExited(err) && ctx.Err() == nil {
		return none, fmt.Errorf("launcher %q: %s: %w (pid %d); its workloads keep running", p.Executable.Name, what, sdk.ErrPluginGone, p.PID())
	}
	return none, fmt.Errorf("%s: %w", what, err)
}

// hasExited reports whether a call failed because the plugin has ended. The call may fail
// a moment before the end of the process is noticed.
func (p *Plugin) hasExited(err error) bool {
	select {
	case <-p.Done():
		return true
	default:
	}
	if !errors.Is(err, sdk.ErrPluginGone) {
		return false
	}
	wait(p.Done(), exitWait) // true is returned in any case: the connection is broken
	return true
}
