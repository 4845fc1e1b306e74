package sockets

import (
	"sync"
	"sync/atomic"
	"time"
)

// A write costs more than the work on the message that it carries. So for a peer that
// expects many messages, those of a short time are written together.

const (
	// coalesceFrom is how many messages a peer must expect for its writes to be delayed.
	coalesceFrom = 64
	// coalesceDelay is the least time between two writes to such a peer.
	coalesceDelay = 500 * time.Microsecond
)

// delayedFlush is the timer of the process that calls FlushAll again for connections
// whose writes were delayed.
var delayedFlush struct {
	armed atomic.Bool
	once  sync.Once
	timer *time.Timer
}

// ExpectReplies adds n, which may be negative, to the number of messages that the peer
// expects. While a peer expects 64 or more, FlushAll delays its messages until half a
// millisecond has passed since the last write to it.
func (c *Conn) ExpectReplies(n int) { c.expected.Add(int64(n)) }

// mayCoalesce reports whether a write to c may be delayed.
func (c *Conn) mayCoalesce() bool {
	return c.expected.Load() >= coalesceFrom && time.Since(epoch)-time.Duration(c.lastFlush.Load()) < coalesceDelay
}

// flushLater arms the timer. The caller must have put its connection on the list of
// FlushAll before: a timer that is armed already may be about to fire.
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

// epoch is the time from which Conn.lastFlush counts.
var epoch = time.Now()
