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

// DefaultGrace is how long Stop waits between asking and killing.
const DefaultGrace = 5 * time.Second

// Options are what to start.
type Options struct {
	Command    []string          // program and arguments; the program is looked up in PATH
	Env        map[string]string // added to Environ
	Dir        string            // "" is the current folder
	OutputFile string            // appended to, made 0600; "" discards output
}

// Process is a process of its own session that was started or found by this
// program. Its methods may be called from many goroutines.
type Process struct {
	state  State
	offset int64     // where its output begins in the output file
	cmd    *exec.Cmd // nil: not our child

	watch sync.Once
	done  chan struct{} // closed when exit is known
	exit  sdk.Exit      // valid after done
}

// Start starts a process. sdk.ErrBadOption: the command can't be run. The process
// runs on when this program ends.
func Start(o Options) (*Process, error) {
	if len(o.Command) == 0 || o.Command[0] == "" {
		return nil, fmt.Errorf("%w: the command is empty", sdk.ErrBadOption)
	}
	for name, value := range o.Env {
		if !validVariable(name, value) {
			return nil, fmt.Errorf("%w: environment variable %q", sdk.ErrBadOption, name)
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
	// A child that is not waited for yet keeps its pid, so this can't be another.
	if id, err := identify(p.state.PID); err == nil {
		p.state = id
	}
	if out != nil {
		p.state.OutputFile = out.Name()
	}
	p.watch.Do(func() { go p.wait() })
	return p, nil
}

// openOutput opens the log file, or answers nil for none.
func (p *Process) openOutput(name string) (*os.File, error) {
	if name == "" {
		return nil, nil //nolint:nilnil // exec.Cmd takes nil for the null device
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

// Attach finds a process that another program started. sdk.ErrNotRunning: it has
// ended, or its pid belongs to another process now.
func Attach(s State) (*Process, error) {
	now, err := s.find()
	if err != nil {
		return nil, err
	}
	now.OutputFile = s.OutputFile
	return &Process{state: now, done: make(chan struct{})}, nil
}

// State answers how to find the process again.
func (p *Process) State() State { return p.state }

// Done is closed when the process has ended. For a process that was attached,
// watching begins with the first call and lasts until its end.
func (p *Process) Done() <-chan struct{} {
	p.watch.Do(func() { go p.wait() })
	return p.done
}

// Exit answers how the process ended, once Done is closed. The code of a process
// that is not this program's child is -1.
func (p *Process) Exit() sdk.Exit {
	select {
	case <-p.done:
		return p.exit
	default:
		return sdk.Exit{Code: -1}
	}
}

// Wait waits for the end of the process, or of ctx.
func (p *Process) Wait(ctx context.Context) (sdk.Exit, error) {
	select {
	case <-p.Done():
		return p.exit, nil
	case <-ctx.Done():
		return sdk.Exit{Code: -1}, ctx.Err()
	}
}

// wait learns how the process ends; it is the one goroutine of a Process, and
// ends with it.
func (p *Process) wait() {
	exit := sdk.Exit{Code: -1}
	if p.cmd != nil {
		// The error of Wait repeats what ProcessState says.
		_ = p.cmd.Wait()
		exit = exitOf(p.cmd.ProcessState)
	} else {
		waitForeign(p.state)
	}
	exit.Output = p.Tail()
	p.exit = exit
	close(p.done)
}

// Alive tells whether the process runs.
func (p *Process) Alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return p.state.check() == nil
	}
}

// Signal sends a signal, by number or name, to the process and its children.
// sdk.ErrProcessState: it has ended.
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

// Stop asks the process and everything in its session to end, and kills what is
// left after grace (0 means DefaultGrace). It returns when nothing is left. When
// ctx ends first it kills at once and answers ctx's error.
func (p *Process) Stop(ctx context.Context, grace time.Duration) error {
	if grace == 0 {
		grace = DefaultGrace
	}
	asked := p.terminate()
	if asked && p.waitGone(ctx, grace) {
		return nil
	}
	err := ctx.Err()
	for range 3 { // a fork may escape the first sweep
		p.kill()
		if p.waitGone(context.WithoutCancel(ctx), 2*time.Second) {
			return err
		}
	}
	return errors.Join(err, fmt.Errorf("pid %d: still there after SIGKILL", p.state.PID))
}

// gone waits at most d until the process and its session have ended.
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
