//go:build unix

package batch

import (
	"os/exec"
	"syscall"
)

// ownGroup makes the end of a command's time the end of its children too: many
// are wrappers.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
