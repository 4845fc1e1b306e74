package main

import (
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/windows"
)

// detach gives the child its own process group, no console, and the pipe.
func detach(child *exec.Cmd, pipe *os.File) {
	handle := syscall.Handle(pipe.Fd())
	_ = windows.SetHandleInformation(windows.Handle(handle), windows.HANDLE_FLAG_INHERIT, windows.HANDLE_FLAG_INHERIT) // if it fails, the child has no pipe and its parent reads the end of it
	child.SysProcAttr = &syscall.SysProcAttr{
		CreationFlags:              windows.DETACHED_PROCESS | windows.CREATE_NEW_PROCESS_GROUP,
		AdditionalInheritedHandles: []syscall.Handle{handle},
	}
	child.Env = append(child.Env, reportVariable+"="+strconv.FormatUint(uint64(handle), 10))
}

func keepFromChildren(handle uintptr) { syscall.CloseOnExec(syscall.Handle(handle)) }

func endChild(p *os.Process) error { return p.Kill() }
