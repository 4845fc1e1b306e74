//go:build unix

package exec

import (
	"os"
	osexec "os/exec"
	"syscall"
)

// ownGroup puts the script into a process group of its own.
func ownGroup(cmd *osexec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// killGroup ends the script and what it waits for.
func killGroup(p *os.Process) error { return syscall.Kill(-p.Pid, syscall.SIGKILL) }
