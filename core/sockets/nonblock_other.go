//go:build !unix

package sockets

import (
	"io"
	"net"
	"syscall"
)

// tryWriter writes nothing where there is no write that does not block: the
// writer goroutine does it all.
type tryWriter struct{}

func (t *tryWriter) init(syscall.RawConn) {}

func (t *tryWriter) write([]byte) (int, error) { return 0, nil }

func newReader(tcp *net.TCPConn, _ syscall.RawConn) io.Reader { return tcp }
