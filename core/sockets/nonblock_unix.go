//go:build unix

package sockets

import (
	"errors"
	"io"
	"net"
	"syscall"
)

// tryWriter writes without blocking. Its callback is created once, so that a write
// allocates nothing.
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
			t.n, t.err = tryWrite(fd, t.b)
			if !errors.Is(t.err, syscall.EINTR) {
				return true
			}
		}
	}
}

// write writes the bytes that the kernel accepts at once, possibly none.
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

// connReader reads into small buffers with tryRead. It reads into large buffers through
// net.TCPConn, because the system call of tryRead must be short.
type connReader struct {
	*net.TCPConn
	raw    syscall.RawConn
	call   func(fd uintptr) bool
	b      []byte
	n      int
	err    error
	noWait bool // return an error instead of waiting
}

func newReader(tcp *net.TCPConn, raw syscall.RawConn) io.Reader {
	r := &connReader{TCPConn: tcp, raw: raw}
	r.call = func(fd uintptr) bool {
		for {
			r.n, r.err = tryRead(fd, r.b)
			if !errors.Is(r.err, syscall.EINTR) {
				return r.noWait || !errors.Is(r.err, syscall.EAGAIN) // false waits until there is something to read
			}
		}
	}
	return r
}

// tryRead implements nonblockingReader.
func (r *connReader) tryRead(b []byte) (int, error) {
	if len(b) == 0 || len(b) > largeBuffer {
		return 0, nil
	}
	r.noWait = true
	n, err := r.Read(b)
	r.noWait = false
	if errors.Is(err, syscall.EAGAIN) {
		return 0, nil
	}
	return n, err
}

// Read implements io.Reader.
func (r *connReader) Read(b []byte) (int, error) {
	if len(b) == 0 || len(b) > largeBuffer {
		return r.TCPConn.Read(b)
	}
	r.b = b
	err := r.raw.Read(r.call)
	r.b = nil
	switch {
	case err != nil:
		return 0, err
	case r.err != nil:
		return 0, r.err
	case r.n == 0:
		return 0, io.EOF
	}
	return r.n, nil
}
