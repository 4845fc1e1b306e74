package sockets

import (
	"runtime"
	"testing"
	"time"
)

// listener answers the connection of a peer, and a channel of n that has something
// for each message that the peer gets.
func connectedPeer(t *testing.T, n int) (c *Conn, got chan struct{}) {
	t.Helper()
	got = make(chan struct{}, n)
	s := open(t, Router, Options{})
	dial(t, open(t, Dealer, Options{Identity: []byte("peer"), Handler: func(*Conn, [][]byte) { got <- struct{}{} }}), listen(t, s))
	for deadline := time.Now().Add(timeout); c == nil; c = s.Lookup([]byte("peer")) {
		if time.Now().After(deadline) {
			t.Fatal("no peer")
		}
		time.Sleep(time.Millisecond)
	}
	return c, got
}

// A peer that awaits many messages gets all of them in few writes, and the last
// one soon although nothing else is written.
func TestWritesAreCoalesced(t *testing.T) {
	const n = 1000
	c, got := connectedPeer(t, n)
	// What others of the process write in between is not seen, so there may be more.
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
		t.Error("a peer that awaits nothing waits")
	}
	send()
	c.ExpectReplies(coalesceFrom + n)
	began := time.Now()
	writes := send()
	// Two who flush at the same moment may both write.
	if most := 2*int(time.Since(began)/coalesceDelay) + 4; writes > most {
		t.Errorf("%d writes for a patient peer, at most %d fit in the time", writes, most)
	}
	c.ExpectReplies(-n - 1)
	if c.mayCoalesce() {
		t.Error("a peer that awaits few waits")
	}
}

// What is put off just when the timer fires that looks after it is not forgotten.
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
