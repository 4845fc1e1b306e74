package sockets

import (
	"errors"
	"net"
	"os"
	"testing"
)

// A listener that was out of files sees to the spare before it takes a newcomer.
func TestSpareComesFirst(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	spare.Lock()
	if spare.file != nil {
		_ = spare.file.Close()
		spare.file = nil
	}
	spare.Unlock()
	if _, err := acceptAgain(l); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("without a newcomer: %v", err)
	}
	spare.Lock()
	if spare.file == nil {
		t.Error("there is no spare")
	}
	spare.Unlock()
	peer, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	c, err := acceptAgain(l)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
}
