package process

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ipcore/ipcore/sdk"
)

// Group is the processes of one workload. A launcher that embeds it has Stop and
// Wait.
type Group struct {
	Processes []*Process

	// Changed is told of each process that ends before the others do: give it the
	// launcher's Env.Changed. May be nil.
	Changed func(sdk.Change)

	mu       sync.Mutex
	stopping bool
	reported map[int]bool // what Changed was told of
}

// GroupState is how a group is found again.
type GroupState struct {
	Version   int     `json:"version"`
	Processes []State `json:"processes"`
}

// groupVersion is the form of GroupState.
const groupVersion = 1

// State answers how to find the group again.
func (g *Group) State() GroupState {
	s := GroupState{Version: groupVersion}
	for _, p := range g.Processes {
		s.Processes = append(s.Processes, p.State())
	}
	return s
}

// Attach finds the processes of a state that are still there.
// sdk.ErrNotRunning: none is. sdk.ErrBadOption: a newer version wrote the state.
func (g *Group) Attach(s GroupState) error {
	if s.Version > groupVersion {
		return fmt.Errorf("%w: the state has version %d, this launcher reads up to %d", sdk.ErrBadOption, s.Version, groupVersion)
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
		return fmt.Errorf("%w: none of %d processes is left", sdk.ErrNotRunning, len(s.Processes))
	}
	return nil
}

// Stop ends all processes at the same time, with the default grace.
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

// Wait waits until all have ended, and answers the first exit that was not good.
func (g *Group) Wait(ctx context.Context) (sdk.Exit, error) {
	var waits sync.WaitGroup
	var mu sync.Mutex // guards what follows
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

// tell tells once of a process that has ended, unless Stop ended it.
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
