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
var spare struct {
	sync.Mutex
	file *os.File
}

// openSpare makes sure that there is a spare.
func openSpare() {
	spare.Lock()
	defer spare.Unlock()
	if spare.file == nil {
		spare.file, _ = os.Open(os.DevNull) // tried again with the next listener and the next newcomer
	}
}

// outOfFiles tells whether an accept failed for the limit of open files.
func outOfFiles(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// spareWait is how long a newcomer is waited for while the spare is locked.
const spareWait = 50 * time.Millisecond

// acceptAgain accepts for a listener that was out of files. When a file has been
// given back, the spare comes first: with several listeners that are out of files
// none of them could tell its newcomers why otherwise. ErrDeadlineExceeded: there
// is no newcomer.
func acceptAgain(l net.Listener) (net.Conn, error) {
	spare.Lock()
	defer spare.Unlock()
	if spare.file == nil {
		var err error
		if spare.file, err = os.Open(os.DevNull); err != nil {
			spare.file = nil
			return nil, err
		}
	}
	return acceptSoon(l)
}

// acceptSoon accepts one who is already there, or nearly so.
func acceptSoon(l net.Listener) (net.Conn, error) {
	if tcp, ok := l.(*net.TCPListener); ok {
		_ = tcp.SetDeadline(time.Now().Add(spareWait))
		defer func() { _ = tcp.SetDeadline(time.Time{}) }()
	}
	return l.Accept()
}

// turnAway takes one newcomer in the place of the spare file, tells it why it is
// not served, and closes it.
func turnAway(l net.Listener) {
	spare.Lock()
	if spare.file != nil {
		_ = spare.file.Close()
		spare.file = nil
		if conn, err := acceptSoon(l); err == nil { // else somebody else has taken the place
			farewell(conn.(*net.TCPConn))
		}
	}
	spare.Unlock()
	openSpare()
}

// noFiles is what a newcomer is told.
const noFiles = "too many open files: the controller is at its limit (ulimit -n)"

// farewell says ERROR as ZMTP has it, and waits a moment for the newcomer to
// have read it: an end with something unread would throw it away.
func farewell(conn *net.TCPConn) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(100 * time.Millisecond))
	if _, err := conn.Write(zmtp.AppendError(zmtp.Greeting(zmtp.Null), noFiles)); err != nil {
		return
	}
	_ = conn.CloseWrite()
	_, _ = io.Copy(io.Discard, io.LimitReader(conn, 4096)) // until it closes or the deadline
}
