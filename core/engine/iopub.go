package engine

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/sockets"
	"github.com/ipcore/ipcore/core/sockets/curve"
	"github.com/ipcore/ipcore/core/wire"
)

// iopub publishes messages. Messages that are published before there is a subscriber,
// as at the start, are kept and sent to the first one: a client that misses an idle
// message would wait forever.
type iopub struct {
	log     hclog.Logger
	session *wire.Session
	socket  *sockets.Socket

	// mu guards the fields below. It is taken while engine.mu is held.
	mu          sync.Mutex
	subscribers map[*sockets.Conn]int // number of subscriptions of each
	held        [][][]byte
	heldBytes   int
	lost        bool   // messages of held were lost, and that was reported
	dropped     uint64 // dropped messages that were reported
	frames      [][]byte
}

// Limits of the messages that are kept for the first subscriber.
const (
	maxHeldMessages = 4096
	maxHeldBytes    = 16 << 20
)

// newIOPub creates the socket. up is called when a peer subscribes.
func newIOPub(session *wire.Session, curve *curve.Config, log hclog.Logger, up func()) *iopub {
	p := &iopub{log: log, session: session, subscribers: make(map[*sockets.Conn]int)}
	p.socket = sockets.New(sockets.Pub, sockets.Options{
		Identity: []byte(session.ID),
		Curve:    curve,
		Log:      log,
		Subscribed: func(c *sockets.Conn, _ []byte, on bool) {
			p.subscribed(c, on)
			if on {
				up()
			}
		},
		Disconnected: func(c *sockets.Conn, _ error) {
			p.mu.Lock()
			defer p.mu.Unlock()
			delete(p.subscribers, c)
		},
	})
	return p
}

func (p *iopub) subscribed(c *sockets.Conn, on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !on {
		if p.subscribers[c]--; p.subscribers[c] <= 0 {
			delete(p.subscribers, c)
		}
		return
	}
	p.subscribers[c]++
	for _, m := range p.held {
		p.sendLocked(m)
	}
	p.held, p.heldBytes, p.lost = nil, 0, false
}

// hasSubscriber reports whether a peer has subscribed.
func (p *iopub) hasSubscriber() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.subscribers) > 0
}

// publish sends one message. It does not block.
func (p *iopub) publish(topic, msgType string, parent []byte, metadata, content json.RawMessage, buffers ...[]byte) {
	m, err := p.session.Message(msgType, parent, metadata, content, buffers...)
	if err != nil {
		p.log.Error("cannot publish", "type", msgType, "error", err)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	frames := m.AppendFrames(append(p.frames[:0], []byte(topic)))
	if len(p.subscribers) > 0 {
		p.sendLocked(frames)
	} else {
		p.hold(frames)
	}
	clear(frames)
	p.frames = frames[:0]
}

func (p *iopub) sendLocked(frames [][]byte) {
	if err := p.socket.Send(frames...); err != nil {
		p.log.Debug("cannot publish", "error", err)
		return
	}
	if n := p.socket.Dropped(); n != p.dropped {
		p.log.Warn("output lost: the controller does not read it fast enough", "messages", n-p.dropped)
		p.dropped = n
	}
}

func (p *iopub) hold(frames [][]byte) {
	size := 0
	for _, f := range frames {
		size += len(f)
	}
	if len(p.held) >= maxHeldMessages || p.heldBytes+size > maxHeldBytes {
		if !p.lost {
			p.log.Warn("output lost: no controller has subscribed to it")
			p.lost = true
		}
		return
	}
	p.held = append(p.held, sockets.Retain(frames))
	p.heldBytes += size
}

func (p *iopub) close(linger time.Duration) error { return p.socket.Close(linger) }
