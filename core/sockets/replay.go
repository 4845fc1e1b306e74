package sockets

import (
	"bytes"
	"sync"
	"time"
)

// recallBytes bounds what a PUB remembers; the oldest go first.
const replayBytes = 1 << 20

// recall is what a PUB has published of late (Options.Recall), for peers whose
// subscription is still under way. A lock held over both publishing and
// subscribing makes each message reach a subscriber once, in order. Lock order:
// Socket.mu, then recall.mu, then Conn.mu.
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

// add remembers a message and forgets what is too old or too much. The caller
// holds r.mu.
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

// forget drops what is too old or too much. The caller holds r.mu.
func (r *replay) forget(now time.Time) {
	old := 0
	for old < len(r.messages) && (r.bytes > replayBytes || now.Sub(r.messages[old].at) > r.keep) {
		r.bytes -= r.messages[old].bytes
		r.messages[old] = published{}
		old++
	}
	r.messages = r.messages[old:]
}

// subscribe begins a peer's subscription to topic and queues for it the
// messages that it has just missed: those that match and matched nothing the
// peer had subscribed to before.
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
			break // it has gone, or is full of what it has not read
		}
	}
	return changed, nil
}
