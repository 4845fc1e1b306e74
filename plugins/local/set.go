package local

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/process"
)

// Set is the launcher of a set of engines, each of which is a process.
type Set struct {
	process.OrphanFinder
	host    sdk.Host
	request state

	engines map[int]*Process // filled by Start or FromDict, then unchanged

	watching context.Context // ended by Close
	close    context.CancelFunc
	watchers sync.WaitGroup
	ended    chan struct{} // closed when all engines have ended

	// mu may be held while host.Changed takes the sdk's lock, never the other way.
	mu       sync.Mutex
	left     int // engines that run
	stopping bool
	exit     sdk.Exit // of the set: the first exit that is not zero
}

var (
	_ sdk.Launcher     = (*Set)(nil)
	_ sdk.Waiter       = (*Set)(nil)
	_ sdk.Signaler     = (*Set)(nil)
	_ sdk.Outputter    = (*Set)(nil)
	_ sdk.Statuser     = (*Set)(nil)
	_ sdk.Scripter     = (*Set)(nil)
	_ sdk.OrphanFinder = (*Set)(nil)
)

func newSet(host sdk.Host) *Set {
	s := &Set{host: host, engines: make(map[int]*Process), ended: make(chan struct{})}
	s.watching, s.close = context.WithCancel(context.Background())
	return s
}

// Start starts n engines, by default as many as there are CPUs, either at once or delay
// seconds apart. If one of them can't be started, or ctx ends, it ends the others.
func (s *Set) Start(ctx context.Context, r sdk.StartRequest) error {
	o, err := readOptions(r)
	if err != nil {
		return err
	}
	n := r.Count(runtime.NumCPU())
	s.request = state{ProfileDir: r.ProfileDir, ClusterID: r.ClusterID}

	for i := range n {
		if i > 0 && o.Delay > 0 {
			select {
			case <-time.After(seconds(o.Delay)):
			case <-ctx.Done():
			}
		}
		if err = ctx.Err(); err != nil {
			break
		}
		e := &Process{kind: sdk.SingleEngine}
		if err = e.start(r, o, fmt.Sprintf("ipengine-%s-%s-%d.log", r.ClusterID, r.ID, i)); err != nil {
			err = fmt.Errorf("engine %d of %d: %w", i, n, err)
			break
		}
		s.engines[i] = e
	}
	if err != nil {
		// If ctx has ended, Stop kills at once.
		return errors.Join(err, s.each(func(e *Process) error { return e.Stop(ctx) }))
	}
	s.watch()
	return nil
}

// FromDict finds the engines of a state again, without those that have ended. The error
// wraps sdk.ErrNotRunning when all of them have ended.
func (s *Set) FromDict(_ context.Context, given sdk.State) error {
	var st state
	if err := given.Decode(&st); err != nil {
		return err
	}
	if err := st.check(); err != nil {
		return err
	}
	s.request = st
	for _, key := range slices.Sorted(maps.Keys(st.Engines)) {
		i, err := index(key)
		if err != nil {
			return err
		}
		e := &Process{kind: sdk.SingleEngine}
		one := st.Engines[key]
		if one == nil {
			return fmt.Errorf("%w: state: engine %q must not be null", sdk.ErrBadOption, key)
		}
		err = e.restore(*one)
		if errors.Is(err, sdk.ErrNotRunning) {
			s.host.Log.Info("an engine has ended meanwhile", "index", i, "reason", err)
			continue
		}
		if err != nil {
			return fmt.Errorf("engine %d: %w", i, err)
		}
		s.engines[i] = e
	}
	if len(s.engines) == 0 {
		return fmt.Errorf("%w: none of %d engines is running", sdk.ErrNotRunning, len(st.Engines))
	}
	s.watch()
	return nil
}

// watch starts one watcher for each engine.
func (s *Set) watch() {
	s.left = len(s.engines)
	for i, e := range s.engines {
		s.watchers.Go(func() {
			exit, err := e.Wait(s.watching)
			if err != nil {
				return // closed
			}
			s.engineEnded(i, exit)
		})
	}
}

func (s *Set) engineEnded(i int, exit sdk.Exit) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left--
	if s.exit.Code == 0 && s.exit.Signal == "" {
		s.exit = exit
	}
	if !s.stopping {
		s.host.Changed(sdk.Change{Index: i, Exit: exit})
	}
	if s.left == 0 {
		close(s.ended)
	}
}

// Wait waits until all engines have ended. The end of each engine is reported as a
// change, unless Stop has been called.
func (s *Set) Wait(ctx context.Context) (sdk.Exit, error) {
	select {
	case <-s.ended:
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.exit, nil
	case <-ctx.Done():
		return sdk.Exit{Code: -1}, ctx.Err()
	}
}

// Close stops watching the engines, which keep running.
func (s *Set) Close() error {
	s.close()
	s.watchers.Wait()
	return nil
}

// ToDict returns the state, with the engines that run, or with all of them when none
// runs.
func (s *Set) ToDict(context.Context) (sdk.State, error) {
	st := state{
		Version: stateVersion, ProfileDir: s.request.ProfileDir, ClusterID: s.request.ClusterID,
		PID: -1, Engines: make(map[string]*state, len(s.engines)),
	}
	for i, e := range s.engines {
		one := e.state()
		st.Engines[strconv.Itoa(i)] = one
		if one.State == stateWord(true) {
			st.N++
		}
	}
	st.State = stateWord(st.N > 0)
	if st.N > 0 {
		maps.DeleteFunc(st.Engines, func(_ string, one *state) bool { return one.State != stateWord(true) })
	}
	return sdk.NewState(st)
}

// Stop ends all engines, at the same time.
func (s *Set) Stop(ctx context.Context) error {
	s.mu.Lock()
	s.stopping = true
	s.mu.Unlock()
	return s.each(func(e *Process) error { return e.Stop(ctx) })
}

// Signal sends a signal to the engines that run. The error wraps sdk.ErrProcessState
// when none runs.
func (s *Set) Signal(ctx context.Context, signal string) error {
	var mu sync.Mutex
	reached := 0
	err := s.each(func(e *Process) error {
		err := e.Signal(ctx, signal)
		if errors.Is(err, sdk.ErrProcessState) {
			return nil
		}
		if err == nil {
			mu.Lock()
			reached++
			mu.Unlock()
		}
		return err
	})
	if err == nil && reached == 0 {
		return fmt.Errorf("%w: all engines have ended", sdk.ErrProcessState)
	}
	return err
}

// Output returns the last lines of every engine's log file.
func (s *Set) Output(ctx context.Context, remove bool) (string, error) {
	var out strings.Builder
	var errs []error
	for _, i := range slices.Sorted(maps.Keys(s.engines)) {
		text, err := s.engines[i].Output(ctx, remove)
		errs = append(errs, err)
		if text != "" && len(s.engines) > 1 {
			fmt.Fprintf(&out, "engine %d:\n", i)
		}
		out.WriteString(text)
		if text != "" && !strings.HasSuffix(text, "\n") {
			out.WriteByte('\n')
		}
	}
	return out.String(), errors.Join(errs...)
}

// each calls f for all engines at the same time, and waits for the calls to return.
func (s *Set) each(f func(*Process) error) error {
	errs := make([]error, len(s.engines))
	var group sync.WaitGroup
	for k, i := range slices.Sorted(maps.Keys(s.engines)) {
		group.Go(func() {
			if err := f(s.engines[i]); err != nil {
				errs[k] = fmt.Errorf("engine %d: %w", i, err)
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// Status returns how many engines run.
func (s *Set) Status(context.Context) (sdk.Status, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return statusOf(s.left, len(s.engines)), nil
}

// statusOf returns the status of total processes of which running run.
func statusOf(running, total int) sdk.Status {
	st := sdk.Status{State: sdk.StatusRunning, Running: &running, Pending: new(0), Total: &total}
	if running == 0 {
		st.State = sdk.StatusStopped
	}
	return st
}
