//go:build unix

package mpi

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// signalName answers "SIGKILL" of 9.
func signalName(s syscall.Signal) string { return unix.SignalName(s) }
