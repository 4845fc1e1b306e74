package process

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ipcore/ipcore/sdk"
)

// Group is the processes of one workload. A launcher that embeds it has the methods Stop
// and Wait. Processes must not change after the first call of either.
type Group struct {
	Processes []*Process

	// Changed is called once for each process that ends before the last one; set it to
	// the launcher's sdk.Host.Changed. It may be nil.
	Changed func(sdk.Change)

	mu       sync.Mutex
	stopping bool
	reported map[int]bool // indexes for which Changed was called
}

// GroupState is the state from which Group.Attach finds a group again.
type GroupState struct {
	Version   int     `json:"version"`
	Processes []State `json:"processes"`
}

// groupVersion is the current GroupState.Version.
const groupVersion = 1

// State returns the state from which Attach finds the group again.
func (g *Group) State() GroupState {
	s := GroupState{Version: groupVersion}
	for _, p := range g.Processes {
		s.Processes = append(s.Processes, p.State())
	}
	return s
}

// Attach finds the processes of a state that still run. The error wraps
// sdk.ErrNotRunning when none of them does, sdk.ErrBadOption when a newer version
// wrote the state, and sdk.ErrUnknownStatus as for the function Attach.
func (g *Group) Attach(s GroupState) error {
	if s.Version > groupVersion {
		return fmt.Errorf("%w: the state has version %d, and this launcher reads versions up to %d", sdk.ErrBadOption, s.Version, groupVersion)
	}
	for _, one := range s.Processes {
		p, err := Attach(one)
		if errors.Is(err, sdk.ErrNotRunning) {
			continue
		}
		if err != nil {
			return err
		}
		g.Processes = append(g.Processes, p)
	}
	if len(g.Processes) == 0 {
		return fmt.Errorf("%w: none of %d processes is running", sdk.ErrNotRunning, len(s.Processes))
	}
	return nil
}

// Stop ends all processes at the same time, each as Process.Stop with DefaultGrace.
func (g *Group) Stop(ctx context.Context) error {
	g.mu.Lock()
	g.stopping = true
	g.mu.Unlock()
	errs := make([]error, len(g.Processes))
	var group sync.WaitGroup
	for i, p := range g.Processes {
		group.Go(func() { errs[i] = p.Stop(ctx, DefaultGrace) })
	}
	group.Wait()
	return errors.Join(errs...)
}

// Wait waits until all processes have ended, and returns the exit of the first that
// failed, or of the last one when none failed. It returns ctx's error if ctx ends
// first.
func (g *Group) Wait(ctx context.Context) (sdk.Exit, error) {
	var waits sync.WaitGroup
	var mu sync.Mutex // guards the variables below
	var exit sdk.Exit
	var failed error
	running := len(g.Processes)
	for i, p := range g.Processes {
		waits.Go(func() {
			e, err := p.Wait(ctx)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = err
				return
			}
			running--
			if exit.Code == 0 && exit.Signal == "" {
				exit = e
			}
			if running > 0 {
				g.reportEnd(i, e)
			}
		})
	}
	waits.Wait()
	if failed != nil {
		return sdk.Exit{Code: -1}, failed
	}
	return exit, nil
}

// reportEnd calls Changed for a process that has ended, once, and not if Stop ended it.
func (g *Group) reportEnd(i int, e sdk.Exit) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.Changed == nil || g.stopping || g.reported[i] {
		return
	}
	if g.reported == nil {
		g.reported = make(map[int]bool)
	}
	g.reported[i] = true
	g.Changed(sdk.Change{Index: i, Exit: e})
}
