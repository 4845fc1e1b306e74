package exec

import (
	"os"
	osexec "os/exec"
	"syscall"
)

// ownGroup puts the script into a process group of its own.
func ownGroup(cmd *osexec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// killGroup ends the script.
func killGroup(p *os.Process) error { return p.Kill() }
