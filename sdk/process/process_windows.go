package process

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/windows"

	"github.com/ipcore/ipcore/sdk"
)

// detach gives the command a process group of its own and no console.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP | windows.DETACHED_PROCESS}
}

// exitOf returns how a child ended.
func exitOf(s *os.ProcessState) sdk.Exit {
	if s == nil {
		return sdk.Exit{Code: -1}
	}
	return sdk.Exit{Code: s.ExitCode()}
}

// ParseSignal parses a signal's number or name. Windows can only end processes, so only
// KILL and TERM are known. The error wraps sdk.ErrBadOption for any other signal.
func ParseSignal(s string) (syscall.Signal, error) {
	switch strings.TrimPrefix(strings.ToUpper(strings.TrimSpace(s)), "SIG") {
	case "KILL", "9":
		return syscall.SIGKILL, nil
	case "TERM", "15":
		return syscall.SIGTERM, nil
	}
	return 0, fmt.Errorf("%w: signal %q is not known on Windows", sdk.ErrBadOption, s)
}

// signalGroup ends the process and its children; there is no other signal.
func signalGroup(pid int, _ syscall.Signal) error {
	return exec.Command("taskkill", "/pid", strconv.Itoa(pid), "/t", "/f").Run()
}

// terminate does nothing, because Windows can't ask a process to end. It reports
// whether the process has already ended.
func (p *Process) terminate() bool { return !p.Alive() }

// kill ends the process and its children.
func (p *Process) kill() {
	if p.Alive() {
		_ = signalGroup(p.state.PID, syscall.SIGKILL) // Stop checks whether it worked
	}
}

// sessionAlive returns false: taskkill has ended the children too.
func (p *Process) sessionAlive() bool { return false }

// waitForeign returns when a process that is not a child has ended.
func waitForeign(s State) {
	if p, err := os.FindProcess(s.PID); err == nil && s.check() == nil {
		if _, err := p.Wait(); err == nil {
			return
		}
	}
	for s.check() == nil {
		time.Sleep(250 * time.Millisecond)
	}
}
