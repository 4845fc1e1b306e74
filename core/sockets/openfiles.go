package sockets

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/ipcore/ipcore/core/sockets/zmtp"
)

// reservedFD is an open file that is closed when this process has reached its limit of
// open files. In its place one new peer can be accepted and be sent the reason why it is
// not served. Without it, new peers would wait in the accept queue and learn nothing.
var reservedFD struct {
	sync.Mutex
	file *os.File
}

// reserveFD opens the reserved file unless it is open.
func reserveFD() {
	reservedFD.Lock()
	defer reservedFD.Unlock()
	if reservedFD.file == nil {
		reservedFD.file, _ = os.Open(os.DevNull) // the next listener or the next refused peer tries again
	}
}

// outOfFiles reports whether an accept failed because of the limit of open files.
func outOfFiles(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// pendingWait is how long acceptPending waits for a new peer. reservedFD is locked
// meanwhile.
const pendingWait = 50 * time.Millisecond

// acceptAfterShortage accepts a peer of a listener that was out of files. If the process
// may open a file again, the reserved file is opened first. Otherwise several listeners
// that are out of files would use up every free file, and none could tell its new peers
// the reason. The error is os.ErrDeadlineExceeded if there is no new peer.
func acceptAfterShortage(l net.Listener) (net.Conn, error) {
	reservedFD.Lock()
	defer reservedFD.Unlock()
	if reservedFD.file == nil {
		var err error
		if reservedFD.file, err = os.Open(os.DevNull); err != nil {
			reservedFD.file = nil
			return nil, err
		}
	}
	return acceptPending(l)
}

// acceptPending accepts a peer that is waiting already, or comes within pendingWait.
func acceptPending(l net.Listener) (net.Conn, error) {
	if tcp, ok := l.(*net.TCPListener); ok {
		_ = tcp.SetDeadline(time.Now().Add(pendingWait))
		defer func() { _ = tcp.SetDeadline(time.Time{}) }()
	}
	return l.Accept()
}

// rejectNewcomer closes the reserved file, accepts one new peer in its place, sends it the
// reason why it is not served, and disconnects it.
func rejectNewcomer(l net.Listener) {
	reservedFD.Lock()
	if reservedFD.file != nil {
		_ = reservedFD.file.Close()
		reservedFD.file = nil
		if conn, err := acceptPending(l); err == nil { // otherwise something else took the free file
			sendError(conn.(*net.TCPConn))
		}
	}
	reservedFD.Unlock()
	reserveFD()
}

// noFilesText is the reason that a refused peer is sent.
const noFilesText = "too many open files: the controller is at its limit (ulimit -n)"

// sendError sends a greeting and ZMTP's command ERROR, and gives the peer a moment to
// read them: closing a connection with unread bytes would discard them.
func sendError(conn *net.TCPConn) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(100 * time.Millisecond))
	if _, err := conn.Write(zmtp.AppendError(zmtp.Greeting(zmtp.Null), noFilesText)); err != nil {
		return
	}
	_ = conn.CloseWrite()
	_, _ = io.Copy(io.Discard, io.LimitReader(conn, 4096)) // until the peer closes, or the deadline
}
