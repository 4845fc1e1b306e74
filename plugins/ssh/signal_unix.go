//go:build unix

package ssh

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// signalName returns a signal's name, "SIGKILL" for 9, or "" for a number without a name.
func signalName(n int) string { return unix.SignalName(syscall.Signal(n)) }
