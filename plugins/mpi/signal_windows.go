package mpi

import "syscall"

// signalName returns a signal's name: "SIGKILL" for 9.
func signalName(s syscall.Signal) string {
	if s == syscall.SIGKILL {
		return "SIGKILL"
	}
	return "SIGTERM"
}
