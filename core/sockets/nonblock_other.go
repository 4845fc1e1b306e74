//go:build !unix

package sockets

import (
	"io"
	"net"
	"syscall"
)

// tryWriter writes nothing, because there is no write here that does not block. The
// writer goroutine writes everything.
type tryWriter struct{}

func (t *tryWriter) init(syscall.RawConn) {}

func (t *tryWriter) write([]byte) (int, error) { return 0, nil }

func newReader(tcp *net.TCPConn, _ syscall.RawConn) io.Reader { return tcp }
