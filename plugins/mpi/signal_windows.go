package mpi

import "syscall"

// signalName answers "SIGKILL" of 9.
func signalName(s syscall.Signal) string {
	if s == syscall.SIGKILL {
		return "SIGKILL"
	}
	return "SIGTERM"
}
