//go:build unix

package mpi

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// signalName returns a signal's name: "SIGKILL" for 9.
func signalName(s syscall.Signal) string { return unix.SignalName(s) }
