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

// exitOf returns how a child ended.
func exitOf(s *os.ProcessState) sdk.Exit {
	if s == nil {
		return sdk.Exit{Code: -1}
	}
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return sdk.Exit{Code: -1, Signal: unix.SignalName(w.Signal())}
	}
	return sdk.Exit{Code: s.ExitCode()}
}

// ParseSignal parses a signal's number or name ("9", "KILL", "SIGKILL", in either case).
// The error wraps sdk.ErrBadOption when there is no such signal.
func ParseSignal(s string) (syscall.Signal, error) {
	name := strings.ToUpper(strings.TrimSpace(s))
	if n, err := strconv.Atoi(name); err == nil {
		if n < 1 || n > 64 {
			return 0, fmt.Errorf("%w: there is no signal %d", sdk.ErrBadOption, n)
		}
		return syscall.Signal(n), nil
	}
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if sig := unix.SignalNum(name); sig != 0 {
		return sig, nil
	}
	return 0, fmt.Errorf("%w: there is no signal %q", sdk.ErrBadOption, s)
}

// signalGroup sends a signal to the process group of a session's leader.
func signalGroup(pid int, sig syscall.Signal) error {
	err := syscall.Kill(-pid, sig)
	if errors.Is(err, syscall.ESRCH) { // the process is not the leader of a group
		err = syscall.Kill(pid, sig)
	}
	return err
}

// terminate sends SIGTERM, and reports whether it succeeded.
func (p *Process) terminate() bool {
	if p.Alive() {
		// Stopped processes receive the signal when they continue.
		err := signalGroup(p.state.PID, syscall.SIGTERM)
		_ = signalGroup(p.state.PID, syscall.SIGCONT) // it may be gone
		return err == nil
	}
	for _, pid := range p.sessionMembers() {
		_ = syscall.Kill(pid, syscall.SIGTERM) // it may be gone
	}
	return true
}

// kill sends SIGKILL to everything that is left; processes may be gone meanwhile.
func (p *Process) kill() {
	if p.Alive() {
		_ = signalGroup(p.state.PID, syscall.SIGKILL)
	}
	for _, pid := range p.sessionMembers() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// sessionAlive reports whether any process of the session is alive after its leader has
// ended.
func (p *Process) sessionAlive() bool { return len(p.sessionMembers()) > 0 }
