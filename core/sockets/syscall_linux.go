//go:build linux && !race

package sockets

import (
	"syscall"
	"unsafe"
)

// tryRead and tryWrite read and write without blocking, in one system call that the Go
// scheduler does not know about. Informing it costs as much as a short call; and when the
// machine is busy, the scheduler gives the processor of a call that is merely delayed to
// another thread. So b must be short.

func tryRead(fd uintptr, b []byte) (int, error) { return call(syscall.SYS_READ, fd, b) }

func tryWrite(fd uintptr, b []byte) (int, error) { return call(syscall.SYS_WRITE, fd, b) }

func call(number, fd uintptr, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(number, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b))) //nolint:gosec // the form that unsafe.Pointer's documentation requires
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
