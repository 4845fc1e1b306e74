//go:build unix

package conformance

import (
	"os"
	"os/exec"
	"syscall"
)

// ownGroup puts the command and its children into a process group, so that a terminal's
// signals do not reach them.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// killGroup kills the process and its children, but not workloads, which have sessions
// of their own.
func killGroup(p *os.Process) error { return syscall.Kill(-p.Pid, syscall.SIGKILL) }

// terminate asks the process to end; interrupt sends the signal of Ctrl-C.
func terminate(p *os.Process) error { return p.Signal(syscall.SIGTERM) }
func interrupt(p *os.Process) error { return p.Signal(syscall.SIGINT) }
