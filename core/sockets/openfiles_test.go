package sockets

import (
	"errors"
	"net"
	"os"
	"testing"
)

// A listener that was out of files opens the reserved file before it accepts a new peer.
func TestReservedFileIsReplacedFirst(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	reservedFD.Lock()
	if reservedFD.file != nil {
		_ = reservedFD.file.Close()
		reservedFD.file = nil
	}
	reservedFD.Unlock()
	if _, err := acceptAfterShortage(l); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("without a new peer: %v", err)
	}
	reservedFD.Lock()
	if reservedFD.file == nil {
		t.Error("no file is reserved")
	}
	reservedFD.Unlock()
	peer, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	c, err := acceptAfterShortage(l)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
}
