//go:build unix

package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ipcore/ipcore/sdk"
)

// detach gives the command a session of its own.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

// exitOf reads how a child ended.
func exitOf(s *os.ProcessState) sdk.Exit {
	if s == nil {
		return sdk.Exit{Code: -1}
	}
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return sdk.Exit{Code: -1, Signal: unix.SignalName(w.Signal())}
	}
	return sdk.Exit{Code: s.ExitCode()}
}

// ParseSignal reads a signal's number or name ("9", "KILL", "SIGKILL").
// sdk.ErrBadOption: there is none of that name.
func ParseSignal(s string) (syscall.Signal, error) {
	name := strings.ToUpper(strings.TrimSpace(s))
	if n, err := strconv.Atoi(name); err == nil {
		if n < 1 || n > 64 {
			return 0, fmt.Errorf("%w: signal %d", sdk.ErrBadOption, n)
		}
		return syscall.Signal(n), nil
	}
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if sig := unix.SignalNum(name); sig != 0 {
		return sig, nil
	}
	return 0, fmt.Errorf("%w: signal %q", sdk.ErrBadOption, s)
}

// signalGroup signals the process group that the session's leader leads.
func signalGroup(pid int, sig syscall.Signal) error {
	err := syscall.Kill(-pid, sig)
	if errors.Is(err, syscall.ESRCH) { // not a leader, in a session that someone else made
		err = syscall.Kill(pid, sig)
	}
	return err
}

// ask sends SIGTERM, and tells whether it reached anybody.
func (p *Process) terminate() bool {
	if p.Alive() {
		// Stopped processes get it too, once they continue.
		err := signalGroup(p.state.PID, syscall.SIGTERM)
		_ = signalGroup(p.state.PID, syscall.SIGCONT) // gone meanwhile: fine
		return err == nil
	}
	for _, pid := range p.sessionMembers() {
		_ = syscall.Kill(pid, syscall.SIGTERM) // gone meanwhile: fine
	}
	return true
}

// kill sends SIGKILL to everything that is left. What is gone meanwhile is fine.
func (p *Process) kill() {
	if p.Alive() {
		_ = signalGroup(p.state.PID, syscall.SIGKILL)
	}
	for _, pid := range p.sessionMembers() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// remains tells whether anything of the session is alive. The leader has ended.
func (p *Process) sessionAlive() bool { return len(p.sessionMembers()) > 0 }
