//go:build unix

package process

import (
	"os"
	"os/exec"
	"syscall"
)

// SetGroup makes cmd start in its own process group, so that a terminal's signals
// reach neither it nor its children. It is for helper programs that this process waits
// for; workloads, which outlive it, are started with Start. Call it before cmd.Start.
func SetGroup(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
}

// KillGroup kills a process that was started with SetGroup and the processes of its
// group. On Windows it kills the process alone.
func KillGroup(p *os.Process) error { return syscall.Kill(-p.Pid, syscall.SIGKILL) }
