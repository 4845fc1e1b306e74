//go:build unix

package ssh

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// signalName answers "SIGKILL" of 9, "" of a number without a name.
func signalName(n int) string { return unix.SignalName(syscall.Signal(n)) }
