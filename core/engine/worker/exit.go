package worker

import (
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Exit describes how a worker ended.
type Exit struct {
	Code    int            // exit status; -1 when a signal ended it
	Signal  syscall.Signal // 0 unless a signal ended it
	OOM     bool           // the kernel killed it for lack of memory
	Cause   error          // why this process killed it, or nil
	Stack   string         // Python's stack at a fatal signal; often empty
	Tail    string         // the last lines of its output
	Ready   bool           // it had reported that it was ready
	Lived   time.Duration
	Stopped bool // Stop ended it
}

// String describes how the worker ended, as the end of a sentence that begins with its
// name: "was killed by signal 11 (SIGSEGV)".
func (e Exit) String() string {
	switch {
	case e.Cause != nil:
		return e.Cause.Error()
	case e.OOM:
		return fmt.Sprintf("was killed by signal %d (%s): out of memory", int(e.Signal), signalName(e.Signal))
	case e.Signal != 0:
		return fmt.Sprintf("was killed by signal %d (%s)", int(e.Signal), signalName(e.Signal))
	default:
		return fmt.Sprintf("exited with status %d", e.Code)
	}
}

// exit returns the Exit of a process for which cmd.Wait has returned.
func (p *Process) exit(waitErr error) Exit {
	p.mu.Lock()
	e := Exit{Cause: p.cause, Ready: p.ready, Lived: time.Since(p.started)}
	p.mu.Unlock()
	e.Stopped = errors.Is(e.Cause, errStopped)
	var exitErr *exec.ExitError
	if waitErr != nil && !errors.As(waitErr, &exitErr) {
		p.opts.Log.Warn("wait for the worker", "error", waitErr)
	}
	if state := p.cmd.ProcessState; state != nil {
		e.Code = state.ExitCode()
		e.Signal = exitSignal(state)
	}
	if e.Signal == syscall.SIGKILL && e.Cause == nil {
		e.OOM = oomKills() > p.oom
	}
	e.Stack = p.stack()
	e.Tail = p.out.lastLines()
	return e
}

// stack returns the text that faulthandler wrote at a fatal signal.
func (p *Process) stack() string {
	if _, err := p.fault.Seek(0, io.SeekStart); err != nil {
		return ""
	}
	text, err := io.ReadAll(io.LimitReader(p.fault, 64<<10))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(strings.ToValidUTF8(string(text), "\uFFFD"))
}
