package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/ipcore/ipcore/sdk"
)

// DefaultGrace is how long Stop waits between SIGTERM and SIGKILL.
const DefaultGrace = 5 * time.Second

// Options describe a process to start.
type Options struct {
	Command    []string          // program and arguments; the program is looked up in PATH
	Env        map[string]string // added to Environ
	Dir        string            // "" is the current folder
	OutputFile string            // output is appended to it; created with mode 0600; "" discards output
}

// Process is a process with a session of its own that this program has started or
// found. Its methods may be called concurrently.
type Process struct {
	state  State
	offset int64     // where its output begins in the output file, in bytes
	cmd    *exec.Cmd // nil: not our child

	watch sync.Once
	done  chan struct{} // closed when exit is known
	exit  sdk.Exit      // valid after done
}

// Start starts a process, which keeps running when this program ends. The error wraps
// sdk.ErrBadOption when the command can't be run or the output file can't be opened.
func Start(o Options) (*Process, error) {
	if len(o.Command) == 0 || o.Command[0] == "" {
		return nil, fmt.Errorf("%w: the command is empty", sdk.ErrBadOption)
	}
	for name, value := range o.Env {
		if !validVariable(name, value) {
			return nil, fmt.Errorf("%w: environment variable %q is not valid", sdk.ErrBadOption, name)
		}
	}
	p := &Process{done: make(chan struct{})}
	out, err := p.openOutput(o.OutputFile)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(o.Command[0], o.Command[1:]...)
	cmd.Dir, cmd.Env = o.Dir, Environ(o.Env)
	if out != nil {
		defer out.Close()
		cmd.Stdout, cmd.Stderr = out, out
	}
	detach(cmd)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%w: start %s: %w", sdk.ErrBadOption, o.Command[0], err)
	}
	p.cmd = cmd
	p.state = thisMachine()
	p.state.PID = cmd.Process.Pid
	// A child keeps its pid until it is waited for, so this is not another process.
	if id, err := identify(p.state.PID); err == nil {
		p.state = id
	}
	if out != nil {
		p.state.OutputFile = out.Name()
	}
	p.watch.Do(func() { go p.wait() })
	return p, nil
}

// openOutput opens the output file; it returns nil for none.
func (p *Process) openOutput(name string) (*os.File, error) {
	if name == "" {
		return nil, nil //nolint:nilnil // for exec.Cmd nil means the null device
	}
	name, err := filepath.Abs(name)
	if err != nil {
		return nil, fmt.Errorf("output file: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return nil, fmt.Errorf("%w: output file: %w", sdk.ErrBadOption, err)
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: output file: %w", sdk.ErrBadOption, err)
	}
	if i, err := f.Stat(); err == nil {
		p.offset = i.Size()
	}
	return f, nil
}

// Attach finds a process that another program started. The error wraps
// sdk.ErrNotRunning when the process has ended, also when another process has its pid
// now, and sdk.ErrUnknownStatus when that can't be determined on this machine.
func Attach(s State) (*Process, error) {
	now, err := s.find()
	if err != nil {
		return nil, err
	}
	now.OutputFile = s.OutputFile
	return &Process{state: now, done: make(chan struct{})}, nil
}

// State returns the state from which Attach finds the process again.
func (p *Process) State() State { return p.state }

// Done returns a channel that is closed when the process has ended. An attached process
// is watched from the first call until its end.
func (p *Process) Done() <-chan struct{} {
	p.watch.Do(func() { go p.wait() })
	return p.done
}

// Exit returns how the process ended, once Done is closed; before, the code is -1. The
// code of a process that is not a child of this program is always -1.
func (p *Process) Exit() sdk.Exit {
	select {
	case <-p.done:
		return p.exit
	default:
		return sdk.Exit{Code: -1}
	}
}

// Wait waits until the process has ended. It returns ctx's error if ctx ends first.
func (p *Process) Wait(ctx context.Context) (sdk.Exit, error) {
	select {
	case <-p.Done():
		return p.exit, nil
	case <-ctx.Done():
		return sdk.Exit{Code: -1}, ctx.Err()
	}
}

// wait waits for the end of the process. It is the only goroutine of a Process, and ends
// with the process.
func (p *Process) wait() {
	exit := sdk.Exit{Code: -1}
	if p.cmd != nil {
		// ProcessState has the information of Wait's error.
		_ = p.cmd.Wait()
		exit = exitOf(p.cmd.ProcessState)
	} else {
		waitForeign(p.state)
	}
	exit.Output = p.Tail()
	p.exit = exit
	close(p.done)
}

// Alive reports whether the process is running.
func (p *Process) Alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return p.state.check() == nil
	}
}

// Signal sends a signal, given by number or name, to the process group of the process.
// The error wraps sdk.ErrProcessState when the process has ended, and
// sdk.ErrBadOption when there is no such signal.
func (p *Process) Signal(name string) error {
	sig, err := ParseSignal(name)
	if err != nil {
		return err
	}
	if !p.Alive() {
		return fmt.Errorf("%w: pid %d has ended", sdk.ErrProcessState, p.state.PID)
	}
	if err := signalGroup(p.state.PID, sig); err != nil {
		return fmt.Errorf("signal pid %d: %w", p.state.PID, err)
	}
	return nil
}

// Stop sends SIGTERM to the process, and after grace (0 means DefaultGrace) SIGKILL to
// whatever is left of its session. It returns when nothing is left. When ctx ends
// first, Stop kills at once and returns ctx's error.
func (p *Process) Stop(ctx context.Context, grace time.Duration) error {
	if grace == 0 {
		grace = DefaultGrace
	}
	reached := p.terminate()
	if reached && p.waitGone(ctx, grace) {
		return nil
	}
	err := ctx.Err()
	for range 3 { // a process that forks may escape the first attempt
		p.kill()
		if p.waitGone(context.WithoutCancel(ctx), 2*time.Second) {
			return err
		}
	}
	return errors.Join(err, fmt.Errorf("pid %d is still running after SIGKILL", p.state.PID))
}

// waitGone reports whether the process and its session end within d, and before ctx.
func (p *Process) waitGone(ctx context.Context, d time.Duration) bool {
	limit := time.NewTimer(d)
	defer limit.Stop()
	select {
	case <-p.Done():
	case <-limit.C:
		return false
	case <-ctx.Done():
		return false
	}
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		if !p.sessionAlive() {
			return true
		}
		select {
		case <-time.After(pause):
		case <-limit.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}
