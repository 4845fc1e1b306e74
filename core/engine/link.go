package engine

import (
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/sockets"
	"github.com/ipcore/ipcore/core/sockets/curve"
)

// link is a ROUTER that dials. A reply goes to the endpoint that its request came from,
// even if the peer's identity has changed. While the connection is lost, or the peer's
// queue is full, replies are kept.
type link struct {
	log    hclog.Logger
	socket *sockets.Socket

	// mu guards the fields below. It is taken while engine.mu is held.
	mu     sync.Mutex
	conns  map[string]*sockets.Conn
	held   map[string][][][]byte
	bytes  int64 // total size of held
	retry  *time.Timer
	closed bool
}

// maxHeld limits the replies that wait for a lost connection, in bytes.
const maxHeld = 4 << 30

// newLink returns a link. up is called when an endpoint has connected.
func newLink(identity []byte, curve *curve.Config, log hclog.Logger, handler func(endpoint string, frames [][]byte), up func()) *link {
	l := &link{log: log, conns: make(map[string]*sockets.Conn), held: make(map[string][][][]byte)}
	l.socket = sockets.New(sockets.Router, sockets.Options{
		Identity:  identity,
		Curve:     curve,
		Log:       log,
		Handler:   func(c *sockets.Conn, frames [][]byte) { handler(c.Endpoint(), frames) },
		Connected: func(c *sockets.Conn) { l.connected(c); up() },
		Disconnected: func(c *sockets.Conn, err error) {
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.conns[c.Endpoint()] == c {
				delete(l.conns, c.Endpoint())
			}
			if !l.closed {
				l.log.Info("connection to the controller lost: connecting again", "endpoint", c.Endpoint(), "error", err)
			}
		},
	})
	return l
}

func (l *link) connected(c *sockets.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[c.Endpoint()] = c
	l.flush(c.Endpoint())
}

// up returns the number of established connections.
func (l *link) up() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns)
}

// send sends a message to an endpoint without blocking. Small frames are copied; large
// ones must not be modified afterwards.
func (l *link) send(endpoint string, frames [][]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.held[endpoint]) == 0 {
		if c := l.conns[endpoint]; c != nil && c.Send(frames...) == nil {
			return
		}
	}
	size := int64(0)
	for _, f := range frames {
		size += int64(len(f))
	}
	if l.bytes+size > maxHeld || l.closed {
		l.log.Error("reply dropped: the controller has not read any for too long", "endpoint", endpoint, "bytes", size)
		return
	}
	l.bytes += size
	l.held[endpoint] = append(l.held[endpoint], sockets.Retain(frames))
	l.flush(endpoint)
}

// flush sends the replies held for an endpoint until the peer's queue is full. The
// caller holds the lock.
func (l *link) flush(endpoint string) {
	c := l.conns[endpoint]
	for c != nil && len(l.held[endpoint]) > 0 {
		m := l.held[endpoint][0]
		if err := c.Send(m...); err != nil {
			break
		}
		for _, f := range m {
			l.bytes -= int64(len(f))
		}
		l.held[endpoint] = l.held[endpoint][1:]
	}
	if len(l.held[endpoint]) == 0 {
		delete(l.held, endpoint)
		return
	}
	if c != nil && l.retry == nil && !l.closed { // its queue is full, and nothing signals when there is space again
		l.retry = time.AfterFunc(100*time.Millisecond, l.flushAll)
	}
}

func (l *link) flushAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.retry = nil
	if l.closed {
		return
	}
	for endpoint := range l.held {
		l.flush(endpoint)
	}
}

func (l *link) close(linger time.Duration) error {
	l.mu.Lock()
	l.closed = true
	if l.retry != nil {
		l.retry.Stop()
	}
	l.mu.Unlock()
	return l.socket.Close(linger)
}
