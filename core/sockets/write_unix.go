//go:build unix

package sockets

import (
	"errors"
	"syscall"
)

// tryWriter writes without blocking. Its callback is made once, so that a
// write allocates nothing.
type tryWriter struct {
	raw  syscall.RawConn
	call func(fd uintptr) bool
	b    []byte
	n    int
	err  error
}

func (t *tryWriter) init(raw syscall.RawConn) {
	t.raw = raw
	t.call = func(fd uintptr) bool {
		for {
			t.n, t.err = syscall.Write(int(fd), t.b)
			if !errors.Is(t.err, syscall.EINTR) {
				return true
			}
		}
	}
}

// write writes what the kernel takes now, possibly nothing.
func (t *tryWriter) write(b []byte) (int, error) {
	t.b, t.n, t.err = b, 0, nil
	err := t.raw.Write(t.call)
	t.b = nil
	if err != nil {
		return 0, err
	}
	if errors.Is(t.err, syscall.EAGAIN) {
		return 0, nil
	}
	if t.err != nil {
		return 0, t.err
	}
	return t.n, nil
}
