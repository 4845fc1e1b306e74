package mpi

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/process"
)

// here returns the job's processes on this machine, without the starter: all of them,
// and those that are ranks. The error wraps sdk.ErrUnsupported if they can't be
// determined.
func (l *Launcher) here() (all, ranks []process.EnvMatch, err error) {
	if l.state.Job == "" {
		return nil, nil, fmt.Errorf("%w: the state was written by IPython Parallel", sdk.ErrUnsupported)
	}
	found, err := process.FindByEnv(jobVariable, func(value string) bool { return value == l.state.Job })
	if err != nil {
		return nil, nil, err
	}
	ranked := make(map[int]bool) // pids with a rank
	for _, m := range found {
		if m.State.PID == l.state.PID {
			continue
		}
		all = append(all, m)
		_, ok := m.Environ[l.dialect.rank]
		ranked[m.State.PID] = ok
	}
	for _, m := range all {
		if ranked[m.State.PID] && !ranked[m.Parent] {
			ranks = append(ranks, m)
		}
	}
	return all, ranks, nil
}

// complete reports whether all ranks of the job were started on this machine.
func (l *Launcher) complete(ranks []process.EnvMatch) bool {
	if len(ranks) == 0 || l.dialect.localSize == "" {
		return false
	}
	env := ranks[0].Environ
	return env[l.dialect.size] != "" && env[l.dialect.size] == env[l.dialect.localSize]
}

// sweep kills the processes of the job that are left on this machine after the starter
// has ended and patience has passed.
func (l *Launcher) sweep(ctx context.Context, patience time.Duration) error {
	limit := time.Now().Add(patience)
	var all []process.EnvMatch
	clean := 0 // searches in a row that found nothing
	for pause := 2 * time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		var err error
		all, _, err = l.here()
		if errors.Is(err, sdk.ErrUnsupported) {
			return nil
		}
		if err != nil {
			return err
		}
		if clean++; len(all) > 0 {
			clean = 0
		}
		if clean == 2 { // a process shows no environment for a moment while it begins to run a program
			return nil
		}
		if ctx.Err() != nil || time.Now().After(limit) {
			break
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
	errs := make([]error, len(all))
	var group sync.WaitGroup
	now, cancel := context.WithCancel(context.WithoutCancel(ctx))
	cancel() // kills at once
	for i, m := range all {
		group.Go(func() {
			p, err := process.Attach(m.State)
			if err == nil {
				if err = p.Stop(now, 0); errors.Is(err, context.Canceled) {
					err = nil
				}
			}
			if err != nil && !errors.Is(err, sdk.ErrNotRunning) {
				errs[i] = fmt.Errorf("rank %s: %w", m.Environ[l.dialect.rank], err)
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// Signal sends a signal to the ranks: directly when all of them run on this machine,
// otherwise through the starter, if it passes this signal on.
func (l *Launcher) Signal(_ context.Context, signal string) error {
	sig, err := process.ParseSignal(signal)
	if err != nil {
		return err
	}
	if !l.p.Alive() {
		return fmt.Errorf("%w: the MPI job has ended", sdk.ErrProcessState)
	}
	name := signalName(sig)
	_, ranks, err := l.here()
	if err == nil && l.complete(ranks) {
		for _, m := range ranks {
			p, err := process.Attach(m.State)
			if err == nil {
				err = p.Signal(signal)
			}
			if err != nil && !errors.Is(err, sdk.ErrNotRunning) && !errors.Is(err, sdk.ErrProcessState) {
				return fmt.Errorf("rank %s: %w", m.Environ[l.dialect.rank], err)
			}
		}
		return nil
	}
	if name == "SIGKILL" && l.dialect.interruptTwice {
		return errors.Join(l.p.Signal("INT"), l.p.Signal("INT"))
	}
	if !slices.Contains(l.dialect.forwards, name) {
		return fmt.Errorf("%w: %s does not pass %s on to ranks of other machines, only %s", sdk.ErrUnsupported,
			l.dialect.title, name, strings.Join(l.dialect.forwards, ", "))
	}
	return l.p.Signal(signal)
}

// Status reports whether the job runs, and how many ranks run if all of them were
// started on this machine.
func (l *Launcher) Status(context.Context) (sdk.Status, error) {
	n := max(l.state.N, 1)
	if !l.p.Alive() {
		return sdk.Status{State: sdk.StatusStopped, Running: new(0), Pending: new(0), Total: &n}, nil
	}
	s := sdk.Status{State: sdk.StatusRunning, Total: &n}
	if _, ranks, err := l.here(); err == nil && l.complete(ranks) {
		s.Running, s.Pending = new(len(ranks)), new(0)
	}
	return s, nil
}
