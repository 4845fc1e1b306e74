//go:build !unix

package sockets

import "syscall"

// tryWriter writes nothing where there is no write that does not block: the
// writer goroutine does it all.
type tryWriter struct{}

func (t *tryWriter) init(syscall.RawConn) {}

func (t *tryWriter) write([]byte) (int, error) { return 0, nil }
