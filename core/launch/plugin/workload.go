package plugin

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ipcore/ipcore/sdk"
)

// goneWait is how long a failed call waits for the news that the plugin ended.
const exitWait = 500 * time.Millisecond

// Launcher is one workload of a plugin, as the host sees it. Every call ends when
// its context does, or with sdk.ErrPluginGone when the plugin does. Errors wrap
// the sentinels of package sdk.
type Workload struct {
	plugin *Plugin
	kind   sdk.Kind
	id     string
}

// Launcher names a workload of the plugin. Nothing happens until Start or
// FromDict.
func (p *Plugin) Workload(kind sdk.Kind, id string) *Workload {
	return &Workload{plugin: p, kind: kind, id: id}
}

// ID answers the workload's id.
func (w *Workload) ID() string { return w.id }

// Kind answers the workload's kind.
func (w *Workload) Kind() sdk.Kind { return w.kind }

// Start requests the workload and answers its state. Kind and ID of r are set by
// Start.
func (w *Workload) Start(ctx context.Context, r sdk.StartRequest) (sdk.State, error) {
	r.Kind, r.ID = w.kind, w.id
	return call(ctx, w.plugin, "start", func(ctx context.Context, c *sdk.Client) (sdk.State, error) { return c.Start(ctx, r) })
}

// FromDict takes up the workload of a state and answers its state now.
// sdk.ErrNotRunning: it has ended for certain, drop it.
func (w *Workload) FromDict(ctx context.Context, s sdk.State) (sdk.State, error) {
	return call(ctx, w.plugin, "restore", func(ctx context.Context, c *sdk.Client) (sdk.State, error) {
		return c.FromDict(ctx, w.kind, w.id, s)
	})
}

// ToDict answers the workload's state.
func (w *Workload) ToDict(ctx context.Context) (sdk.State, error) {
	return call(ctx, w.plugin, "state", func(ctx context.Context, c *sdk.Client) (sdk.State, error) { return c.ToDict(ctx, w.id) })
}

// Stop ends the workload and returns when nothing of it is left.
func (w *Workload) Stop(ctx context.Context) error {
	return w.do(ctx, "stop", func(ctx context.Context, c *sdk.Client) error { return c.Stop(ctx, w.id) })
}

// Detach makes the plugin forget the workload, which runs on.
func (w *Workload) Detach(ctx context.Context) error {
	return w.do(ctx, "detach", func(ctx context.Context, c *sdk.Client) error { return c.Detach(ctx, w.id) })
}

// Signal sends a signal, by number or name, to the workload.
func (w *Workload) Signal(ctx context.Context, signal string) error {
	return w.do(ctx, "signal", func(ctx context.Context, c *sdk.Client) error { return c.Signal(ctx, w.id, signal) })
}

// Output answers the last output of the workload.
func (w *Workload) Output(ctx context.Context, remove bool) (string, error) {
	return call(ctx, w.plugin, "output", func(ctx context.Context, c *sdk.Client) (string, error) { return c.Output(ctx, w.id, remove) })
}

// ConnectionInfo answers a controller's connection files. sdk.ErrUnsupported: the
// launcher has no part in that, the files are in the profile.
func (w *Workload) ConnectionInfo(ctx context.Context) (sdk.ConnectionInfo, error) {
	return call(ctx, w.plugin, "connection info", func(ctx context.Context, c *sdk.Client) (sdk.ConnectionInfo, error) {
		return c.ConnectionInfo(ctx, w.id)
	})
}

// Status answers what the launcher's system says of the workload.
func (w *Workload) Status(ctx context.Context) (sdk.Status, error) {
	return call(ctx, w.plugin, "status", func(ctx context.Context, c *sdk.Client) (sdk.Status, error) { return c.Status(ctx, w.id) })
}

// Script answers what Start would submit, and changes nothing; with check the
// system is asked whether it would accept it. Kind and ID of r are set here.
func (w *Workload) Script(ctx context.Context, r sdk.StartRequest, check bool) (sdk.Script, error) {
	r.Kind, r.ID = w.kind, w.id
	return call(ctx, w.plugin, "script", func(ctx context.Context, c *sdk.Client) (sdk.Script, error) { return c.Script(ctx, r, check) })
}

// Survivors answers what carries a tag on the launcher's system.
func (p *Plugin) Orphans(ctx context.Context, q sdk.OrphanQuery) ([]sdk.Orphan, error) {
	return call(ctx, p, "look for survivors", func(ctx context.Context, c *sdk.Client) ([]sdk.Orphan, error) { return c.Orphans(ctx, q) })
}

// Remove ends survivors.
func (p *Plugin) RemoveOrphans(ctx context.Context, q sdk.OrphanQuery, s []sdk.Orphan) error {
	_, err := call(ctx, p, "remove survivors", func(ctx context.Context, c *sdk.Client) (struct{}, error) {
		return struct{}{}, c.RemoveOrphans(ctx, q, s)
	})
	return err
}

// Events are the events of a workload as they come.
type Events struct {
	// C brings the events in order and is closed behind the last, or when the
	// stream ends for another reason.
	C <-chan sdk.Event

	mu  sync.Mutex
	err error
}

// Err answers, once C is closed, why: nil behind the end of the workload, else
// sdk.ErrPluginGone, the context's error, or what the plugin said.
func (e *Events) Err() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

// Events opens the stream of events after a number; 0 brings them all. The
// stream ends with ctx.
func (w *Workload) Events(ctx context.Context, after uint64) *Events {
	ch := make(chan sdk.Event)
	e := &Events{C: ch}
	go func() { // ends with ctx, the workload or the plugin; C tells
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
		return none, fmt.Errorf("launcher %q: %s: %w (pid %d); its workloads run on", p.Executable.Name, what, sdk.ErrPluginGone, p.PID())
	}
	return none, fmt.Errorf("%s: %w", what, err)
}

// isGone tells whether a call failed because the plugin ended. The call may fail
// a moment before the end is noticed.
func (p *Plugin) hasExited(err error) bool {
	select {
	case <-p.Done():
		return true
	default:
	}
	if !errors.Is(err, sdk.ErrPluginGone) {
		return false
	}
	wait(p.Done(), exitWait) // the connection is broken either way
	return true
}
