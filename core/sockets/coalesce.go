package sockets

import (
	"sync"
	"sync/atomic"
	"time"
)

// A write costs more than what is done for the message that it carries. So a
// peer that awaits many messages gets what comes within a short time in one.

const (
	// patientFrom is how many messages a peer awaits that can wait for one.
	coalesceFrom = 64
	// gatherFor is the least time between two writes to such a peer.
	coalesceDelay = 500 * time.Microsecond
)

// postponed is for the whole process: when what waits on the list of FlushAll is
// looked at again.
var delayedFlush struct {
	armed atomic.Bool
	once  sync.Once
	timer *time.Timer
}

// Await tells that the peer awaits n more messages, or fewer when n is
// negative. FlushAll lets a peer that awaits many wait for at most half a
// millisecond since the last write.
func (c *Conn) ExpectReplies(n int) { c.expected.Add(int64(n)) }

// patient reports whether c can wait.
func (c *Conn) mayCoalesce() bool {
	return c.expected.Load() >= coalesceFrom && time.Since(epoch)-time.Duration(c.lastFlush.Load()) < coalesceDelay
}

// postpone has the list looked at again soon. What is to be seen then has to be on
// it before: a timer that is armed may be about to fire.
func flushLater() {
	if !delayedFlush.armed.Swap(true) {
		delayedFlush.once.Do(func() {
			delayedFlush.timer = time.AfterFunc(time.Hour, func() {
				delayedFlush.armed.Store(false)
				FlushAll()
			})
		})
		delayedFlush.timer.Reset(coalesceDelay)
	}
}

// epoch is what Conn.flushed counts from.
var epoch = time.Now()
