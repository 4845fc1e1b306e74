package sockets

import (
	"bytes"
	"sync"
	"time"
)

// replayBytes bounds the bytes of the messages that a PUB keeps; the oldest are dropped.
const replayBytes = 1 << 20

// replay has the messages that a PUB has published recently (Options.Replay), for peers
// whose subscription has not arrived yet. mu is held while a message is published and
// while a peer subscribes, so each message reaches a subscriber exactly once and in order.
// Lock order: Socket.mu, then replay.mu, then Conn.mu.
type replay struct {
	keep time.Duration

	mu       sync.Mutex
	messages []published // oldest first
	bytes    int
}

type published struct {
	at     time.Time
	frames [][]byte
	bytes  int
}

// add keeps a message and drops those that are too old or too many. The caller holds
// r.mu.
func (r *replay) add(frames [][]byte) {
	now := time.Now()
	p := published{at: now, frames: Retain(frames)}
	for _, f := range frames {
		p.bytes += len(f)
	}
	r.messages = append(r.messages, p)
	r.bytes += p.bytes
	r.forget(now)
}

// forget drops messages that are too old or too many. The caller holds r.mu.
func (r *replay) forget(now time.Time) {
	old := 0
	for old < len(r.messages) && (r.bytes > replayBytes || now.Sub(r.messages[old].at) > r.keep) {
		r.bytes -= r.messages[old].bytes
		r.messages[old] = published{}
		old++
	}
	r.messages = r.messages[old:]
}

// subscribe adds topic to a peer's subscriptions and queues the messages that the peer has
// just missed: those that match topic and none of its earlier topics.
func (r *replay) subscribe(c *Conn, topic []byte) (changed bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(time.Now())
	var missed [][][]byte
	c.mu.Lock()
	for _, p := range r.messages {
		if first := p.frames[0]; bytes.HasPrefix(first, topic) && !c.topics.matches(first) {
			missed = append(missed, p.frames)
		}
	}
	changed, err = c.topics.set(topic, true)
	c.mu.Unlock()
	if err != nil {
		return false, err
	}
	for _, frames := range missed {
		if c.put(true, frames...) != nil {
			break // the peer is disconnected, or does not read
		}
	}
	return changed, nil
}
