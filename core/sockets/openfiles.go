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

// spare is an open file that is given up when this process may have no more, so
// that a newcomer can be told why it is not served. Without it newcomers wait in
// the accept queue and learn nothing.
var reservedFD struct {
	sync.Mutex
	file *os.File
}

// openSpare makes sure that there is a spare.
func reserveFD() {
	reservedFD.Lock()
	defer reservedFD.Unlock()
	if reservedFD.file == nil {
		reservedFD.file, _ = os.Open(os.DevNull) // tried again with the next listener and the next newcomer
	}
}

// outOfFiles tells whether an accept failed for the limit of open files.
func outOfFiles(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// spareWait is how long a newcomer is waited for while the spare is locked.
const pendingWait = 50 * time.Millisecond

// acceptAgain accepts for a listener that was out of files. When a file has been
// given back, the spare comes first: with several listeners that are out of files
// none of them could tell its newcomers why otherwise. ErrDeadlineExceeded: there
// is no newcomer.
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

// acceptSoon accepts one who is already there, or nearly so.
func acceptPending(l net.Listener) (net.Conn, error) {
	if tcp, ok := l.(*net.TCPListener); ok {
		_ = tcp.SetDeadline(time.Now().Add(pendingWait))
		defer func() { _ = tcp.SetDeadline(time.Time{}) }()
	}
	return l.Accept()
}

// turnAway takes one newcomer in the place of the spare file, tells it why it is
// not served, and closes it.
func rejectNewcomer(l net.Listener) {
	reservedFD.Lock()
	if reservedFD.file != nil {
		_ = reservedFD.file.Close()
		reservedFD.file = nil
		if conn, err := acceptPending(l); err == nil { // else somebody else has taken the place
			sendError(conn.(*net.TCPConn))
		}
	}
	reservedFD.Unlock()
	reserveFD()
}

// noFiles is what a newcomer is told.
const noFilesText = "too many open files: the controller is at its limit (ulimit -n)"

// farewell says ERROR as ZMTP has it, and waits a moment for the newcomer to
// have read it: an end with something unread would throw it away.
func sendError(conn *net.TCPConn) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(100 * time.Millisecond))
	if _, err := conn.Write(zmtp.AppendError(zmtp.Greeting(zmtp.Null), noFilesText)); err != nil {
		return
	}
	_ = conn.CloseWrite()
	_, _ = io.Copy(io.Discard, io.LimitReader(conn, 4096)) // until it closes or the deadline
}
