//go:build unix

package main

import (
	"os"
	"os/exec"
	"syscall"
)

// detach gives the child its own session, without a terminal, and the pipe.
func detach(child *exec.Cmd, pipe *os.File) {
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	child.ExtraFiles = []*os.File{pipe} // descriptor 3
	child.Env = append(child.Env, reportVariable+"=3")
}

func keepFromChildren(fd uintptr) { syscall.CloseOnExec(int(fd)) }

func endChild(p *os.Process) error { return p.Signal(syscall.SIGTERM) }
