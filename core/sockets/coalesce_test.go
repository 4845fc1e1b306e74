package sockets

import (
	"runtime"
	"testing"
	"time"
)

// connectedPeer returns the connection of a peer, and a channel that gets a value for each
// message that the peer receives; n of them fit.
func connectedPeer(t *testing.T, n int) (c *Conn, got chan struct{}) {
	t.Helper()
	got = make(chan struct{}, n)
	s := open(t, Router, Options{})
	dial(t, open(t, Dealer, Options{Identity: []byte("peer"), Handler: func(*Conn, [][]byte) { got <- struct{}{} }}), listen(t, s))
	for deadline := time.Now().Add(timeout); c == nil; c = s.Lookup([]byte("peer")) {
		if time.Now().After(deadline) {
			t.Fatal("the peer does not connect")
		}
		time.Sleep(time.Millisecond)
	}
	return c, got
}

// A peer that expects many messages gets all of them in few writes, and the last one soon
// although no other message follows.
func TestWritesAreCoalesced(t *testing.T) {
	const n = 1000
	c, got := connectedPeer(t, n)
	// Writes of other goroutines in between are not counted, so there may be more.
	send := func() (writes int) {
		for range n {
			if err := c.Enqueue([]byte("m")); err != nil {
				t.Fatal(err)
			}
			c.mu.Lock()
			before := c.out.written
			c.mu.Unlock()
			FlushAll()
			c.mu.Lock()
			if c.out.written > before {
				writes++
			}
			c.mu.Unlock()
		}
		for range n {
			select {
			case <-got:
			case <-time.After(timeout):
				t.Fatal("a message is missing")
			}
		}
		return writes
	}
	if c.mayCoalesce() {
		t.Error("writes to a peer that expects nothing are delayed")
	}
	send()
	c.ExpectReplies(coalesceFrom + n)
	began := time.Now()
	writes := send()
	// Two goroutines that flush at the same moment may both write.
	if most := 2*int(time.Since(began)/coalesceDelay) + 4; writes > most {
		t.Errorf("%d writes to a peer that expects many messages, want at most %d", writes, most)
	}
	c.ExpectReplies(-n - 1)
	if c.mayCoalesce() {
		t.Error("writes to a peer that expects few messages are delayed")
	}
}

// A write that is delayed just when the timer fires is not forgotten.
func TestFlushLaterForgetsNothing(t *testing.T) {
	c, got := connectedPeer(t, 2)
	c.ExpectReplies(1 << 30)
	put := func() {
		if err := c.Enqueue([]byte("m")); err != nil {
			t.Fatal(err)
		}
		FlushAll()
	}
	for i := range 2000 {
		put()
		for began := time.Now(); time.Since(began) < coalesceDelay-time.Duration(i%100)*time.Microsecond; {
			runtime.Gosched()
		}
		put()
		for range 2 {
			select {
			case <-got:
			case <-time.After(timeout):
				t.Fatalf("round %d: a message is missing", i)
			}
		}
	}
}
