//go:build unix

package batch

import (
	"os/exec"
	"syscall"
)

// ownGroup puts the command into a process group of its own, and kills the whole group
// when the command's time is over: many commands are wrappers that start others.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
