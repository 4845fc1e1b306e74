//go:build unix

package registry

import (
	"os"
	"os/exec"
	"syscall"
)

// ownGroup keeps a terminal's signals away from the command and its children.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// killGroup ends the process and what it started; workloads have sessions of
// their own and are not touched.
func killGroup(p *os.Process) error { return syscall.Kill(-p.Pid, syscall.SIGKILL) }
