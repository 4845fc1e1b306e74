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

// exitOf reads how a child ended.
func exitOf(s *os.ProcessState) sdk.Exit {
	if s == nil {
		return sdk.Exit{Code: -1}
	}
	return sdk.Exit{Code: s.ExitCode()}
}

// ParseSignal reads a signal. Windows knows none but the end, so KILL and TERM
// are all there is. sdk.ErrBadOption: another one.
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

// ask tells that nobody was asked: there is no polite way.
func (p *Process) terminate() bool { return !p.Alive() }

// kill ends the process and its children.
func (p *Process) kill() {
	if p.Alive() {
		_ = signalGroup(p.state.PID, syscall.SIGKILL) // Stop looks whether it worked
	}
}

// remains tells whether anything is left; taskkill took the children along.
func (p *Process) sessionAlive() bool { return false }

// waitForeign returns when a process that is not our child has ended.
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
