package sockets

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
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

// turnAway takes one newcomer in the place of the spare file, tells it why it is
// not served, and closes it.
func turnAway(l net.Listener) {
	spare.Lock()
	if spare.file != nil {
		_ = spare.file.Close()
		spare.file = nil
		if tcp, ok := l.(*net.TCPListener); ok { // somebody else may have taken the place
			_ = tcp.SetDeadline(time.Now().Add(50 * time.Millisecond))
			if conn, err := l.Accept(); err == nil {
				farewell(conn.(*net.TCPConn))
			}
			_ = tcp.SetDeadline(time.Time{})
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
	message := make([]byte, 64, 256)
	message[0], message[9], message[10] = 0xff, 0x7f, 3
	copy(message[12:], "NULL")
	message = append(message, 4, byte(7+len(noFiles)), 5)
	message = append(append(append(message, "ERROR"...), byte(len(noFiles))), noFiles...)
	if _, err := conn.Write(message); err != nil {
		return
	}
	_ = conn.CloseWrite()
	_, _ = io.Copy(io.Discard, io.LimitReader(conn, 4096)) // until it closes or the deadline
}
