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
}

// GroupState is how a group is found again.
type GroupState struct {
	Version   int     `json:"version"`
	Processes []State `json:"processes"`
}

// State answers how to find the group again.
func (g *Group) State() GroupState {
	s := GroupState{Version: 1}
	for _, p := range g.Processes {
		s.Processes = append(s.Processes, p.State())
	}
	return s
}

// Attach finds the processes of a state that are still there.
// sdk.ErrNotRunning: none is.
func (g *Group) Attach(s GroupState) error {
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
	var exit sdk.Exit
	for _, p := range g.Processes {
		e, err := p.Wait(ctx)
		if err != nil {
			return e, err
		}
		if exit.Code == 0 && exit.Signal == "" {
			exit = e
		}
	}
	return exit, nil
}
