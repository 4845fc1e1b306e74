package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/process"
)

// Process is the launcher of one process: a controller, or a single engine.
type Process struct {
	process.OrphanFinder
	kind    sdk.Kind
	request state // from Start's request, or the state that was restored
	p       *process.Process
}

var (
	_ sdk.Launcher     = (*Process)(nil)
	_ sdk.Waiter       = (*Process)(nil)
	_ sdk.Signaler     = (*Process)(nil)
	_ sdk.Outputter    = (*Process)(nil)
	_ sdk.Statuser     = (*Process)(nil)
	_ sdk.Scripter     = (*Process)(nil)
	_ sdk.OrphanFinder = (*Process)(nil)
)

// Start starts the process.
func (l *Process) Start(_ context.Context, r sdk.StartRequest) error {
	o, err := readOptions(r)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("ipengine-%s-%s-0.log", r.ClusterID, r.ID)
	if l.kind == sdk.Controller {
		name = "ipcontroller"
		if r.ClusterID != "" {
			name += "-" + r.ClusterID
		}
		name += fmt.Sprintf("-%d.log", os.Getpid())
	}
	return l.start(r, o, name)
}

func (l *Process) start(r sdk.StartRequest, o options, log string) error {
	if !filepath.IsLocal(log) || filepath.Base(log) != log {
		return fmt.Errorf("%w: %q is not a valid log file name; the cluster id and the id must not contain slashes", sdk.ErrBadOption, log)
	}
	p, err := process.Start(process.Options{
		Command: r.Command, Env: r.Env, Dir: r.WorkDir, OutputFile: filepath.Join(r.LogDir, log),
	})
	if err != nil {
		return err
	}
	l.p = p
	l.request = state{ProfileDir: r.ProfileDir, ClusterID: r.ClusterID, Grace: o.Grace}
	return nil
}

// FromDict finds the process of a state again.
func (l *Process) FromDict(_ context.Context, s sdk.State) error {
	var st state
	if err := s.Decode(&st); err != nil {
		return err
	}
	return l.restore(st)
}

func (l *Process) restore(st state) error {
	if err := st.check(); err != nil {
		return err
	}
	p, err := process.Attach(st.process())
	if err != nil {
		return err
	}
	l.p, l.request = p, st
	return nil
}

// ToDict returns the state.
func (l *Process) ToDict(context.Context) (sdk.State, error) { return sdk.NewState(l.state()) }

func (l *Process) state() *state {
	s := &state{
		Version: stateVersion, ProfileDir: l.request.ProfileDir, ClusterID: l.request.ClusterID,
		State: stateWord(l.p.Alive()), Grace: l.request.Grace,
	}
	s.setProcess(l.p.State())
	if l.kind != sdk.Controller {
		s.N = 1
	}
	return s
}

// Stop ends the process with SIGTERM, and with SIGKILL after the grace period.
func (l *Process) Stop(ctx context.Context) error {
	grace := process.DefaultGrace
	if g := l.request.Grace; g != nil {
		grace = seconds(*g)
	}
	return l.p.Stop(ctx, grace)
}

// Wait waits until the process has ended.
func (l *Process) Wait(ctx context.Context) (sdk.Exit, error) { return l.p.Wait(ctx) }

// Status reports whether the process runs.
func (l *Process) Status(context.Context) (sdk.Status, error) {
	running := 0
	if l.p.Alive() {
		running = 1
	}
	return statusOf(running, 1), nil
}

// Signal sends a signal to the process and its children.
func (l *Process) Signal(_ context.Context, signal string) error { return l.p.Signal(signal) }

// Output returns the last lines of the log file, and removes the file if remove is set.
func (l *Process) Output(_ context.Context, remove bool) (string, error) {
	text := l.p.Tail()
	if remove {
		return text, removeOutput(l.p)
	}
	return text, nil
}

func removeOutput(p *process.Process) error {
	name := p.State().OutputFile
	if name == "" {
		return nil
	}
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the output: %w", err)
	}
	return nil
}

// index parses the key of an engine in a set's state.
func index(key string) (int, error) {
	i, err := strconv.Atoi(key)
	if err != nil || i < 0 {
		return 0, fmt.Errorf("%w: state: %q is not a valid engine index", sdk.ErrBadOption, key)
	}
	return i, nil
}
