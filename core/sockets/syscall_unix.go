//go:build unix && (!linux || race)

package sockets

import "syscall"

// tryRead and tryWrite read and write without blocking. The race detector sees the bytes
// that these read and write.

func tryRead(fd uintptr, b []byte) (int, error) { return syscall.Read(int(fd), b) }

func tryWrite(fd uintptr, b []byte) (int, error) { return syscall.Write(int(fd), b) }
