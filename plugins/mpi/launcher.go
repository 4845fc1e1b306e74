package mpi

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/process"
)

// jobVariable is in the environment of the starter and of every rank; each job has its
// own value.
const jobVariable = "IPCORE_MPI_JOB"

// Launcher is the launcher of one MPI job: a controller, or a set of engines.
type Launcher struct {
	process.OrphanFinder
	kind sdk.Kind
	host sdk.Host

	state   state // without the values that p has
	dialect *dialect
	p       *process.Process // the starter

	mu       sync.Mutex
	stopping bool
}

var (
	_ sdk.Launcher     = (*Launcher)(nil)
	_ sdk.Waiter       = (*Launcher)(nil)
	_ sdk.Signaler     = (*Launcher)(nil)
	_ sdk.Outputter    = (*Launcher)(nil)
	_ sdk.Statuser     = (*Launcher)(nil)
	_ sdk.Scripter     = (*Launcher)(nil)
	_ sdk.OrphanFinder = (*Launcher)(nil)
)

// Start starts the job: n ranks, the number of CPUs by default, or one controller.
func (l *Launcher) Start(ctx context.Context, r sdk.StartRequest) error {
	o, n, err := l.read(r)
	if err != nil {
		return err
	}
	d, _, err := o.find(ctx)
	if err != nil {
		return err
	}
	if d == other {
		l.host.Log.Warn("unknown MPI: its --version does not mention Open MPI, MPICH, Intel MPI or Slurm", "mpi_cmd", o.Starter[0])
	}
	l.dialect = d
	l.state = state{ProfileDir: r.ProfileDir, ClusterID: r.ClusterID, MPI: d.name, Job: rand.Text(), Grace: o.Grace}
	log := fmt.Sprintf("ipengine-%s-%s.log", r.ClusterID, r.ID)
	if l.kind == sdk.Controller {
		log = "ipcontroller"
		if r.ClusterID != "" {
			log += "-" + r.ClusterID
		}
		log += fmt.Sprintf("-%d.log", os.Getpid())
	} else {
		l.state.N = n
	}
	if filepath.Base(log) != log {
		return fmt.Errorf("%w: %q is not a valid log file name; the cluster id and the id must not contain slashes", sdk.ErrBadOption, log)
	}
	env := maps.Clone(r.Env)
	if env == nil {
		env = make(map[string]string)
	}
	env[jobVariable] = l.state.Job
	l.p, err = process.Start(process.Options{
		Command: d.command(o, n, env, o.program(l.kind, r.Command)), Env: env,
		Dir: r.WorkDir, OutputFile: filepath.Join(r.LogDir, log),
	})
	if err != nil {
		return err
	}
	l.state.State = l.p.State()
	return nil
}

// read checks a request and returns its options and the number of ranks.
func (l *Launcher) read(r sdk.StartRequest) (options, int, error) {
	o, err := readOptions(r)
	if l.kind == sdk.Engine {
		return o, r.Count(runtime.NumCPU()), err
	}
	return o, 1, err
}

// Script returns the starter's command, and with check also the output of the starter's
// --version.
func (l *Launcher) Script(ctx context.Context, r sdk.StartRequest, check bool) (sdk.Script, error) {
	o, n, err := l.read(r)
	if err != nil {
		return sdk.Script{}, err
	}
	d, answer, err := o.find(ctx)
	if err != nil {
		return sdk.Script{}, err
	}
	s := sdk.Script{Command: shellLine(d.command(o, n, r.Env, o.program(l.kind, r.Command)))}
	if check {
		s.Answer = answer
	}
	return s, nil
}

// FromDict finds the job of a state again. If the starter has ended, it ends the ranks
// that are left.
func (l *Launcher) FromDict(ctx context.Context, s sdk.State) error {
	var st state
	if err := s.Decode(&st); err != nil {
		return err
	}
	if err := st.check(); err != nil {
		return err
	}
	l.state = st
	if l.dialect = namedDialect(st.MPI); l.dialect == nil {
		l.dialect = other
	}
	p, err := process.Attach(st.State)
	if errors.Is(err, sdk.ErrNotRunning) {
		return errors.Join(err, l.sweep(ctx, 0))
	}
	if err != nil {
		return err
	}
	l.p = p
	return nil
}

// ToDict returns the state.
func (l *Launcher) ToDict(context.Context) (sdk.State, error) {
	s := l.state
	s.Version, s.State = stateVersion, l.p.State()
	s.Word = "after"
	if l.p.Alive() {
		s.Word = "running"
	}
	return sdk.NewState(s)
}

// Wait waits until the starter has ended, which it does when its ranks have ended.
func (l *Launcher) Wait(ctx context.Context) (sdk.Exit, error) {
	exit, err := l.p.Wait(ctx)
	if err != nil {
		return exit, err
	}
	l.mu.Lock()
	stopping := l.stopping
	l.mu.Unlock()
	if stopping {
		return exit, nil
	}
	l.dialect.explain(&exit)
	// A starter that was killed may have left ranks behind.
	if err := l.sweep(ctx, sweepDelay); err != nil {
		l.host.Log.Error("ranks were left behind", "error", err)
	}
	return exit, nil
}

// Stop sends SIGTERM to the starter, which passes it on to the ranks, and kills what is
// left after the grace period.
func (l *Launcher) Stop(ctx context.Context) error {
	l.mu.Lock()
	l.stopping = true
	l.mu.Unlock()
	if l.dialect.interruptTwice && l.p.Alive() {
		// This starter leaves its ranks when it is killed, and kills them when it is
		// interrupted twice.
		limited, cancel := context.WithTimeout(ctx, grace(l.state.Grace))
		defer cancel()
		_ = l.p.Signal("TERM") // it may have ended
		if _, err := l.p.Wait(limited); err != nil && ctx.Err() == nil {
			_ = l.p.Signal("INT")
			_ = l.p.Signal("INT")
		}
	}
	return errors.Join(l.p.Stop(ctx, grace(l.state.Grace)), l.sweep(ctx, sweepDelay))
}

// sweepDelay is how long ranks have to end by themselves after their starter has ended.
const sweepDelay = 2 * time.Second

// Output returns the last lines of the log file, which all ranks share.
func (l *Launcher) Output(_ context.Context, remove bool) (string, error) {
	text := l.p.Tail()
	if name := l.p.State().OutputFile; remove && name != "" {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return text, fmt.Errorf("remove the output: %w", err)
		}
	}
	return text, nil
}
