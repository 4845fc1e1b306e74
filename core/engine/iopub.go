package engine

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/sockets"
	"github.com/ipcore/ipcore/core/wire"
)

// iopub publishes. What is published while nobody has subscribed, as at the
// start, is kept and sent to the first that does: an idle that is lost would
// have a client wait for ever.
type iopub struct {
	log     hclog.Logger
	session *wire.Session
	socket  *sockets.Socket

	// mu guards what follows. It is taken inside engine.mu.
	mu          sync.Mutex
	subscribers map[*sockets.Conn]int // subscriptions of each
	held        [][][]byte
	heldBytes   int
	lost        bool   // of held, and reported
	dropped     uint64 // that were reported
	frames      [][]byte
}

// Bounds of what is kept for the first subscriber.
const (
	maxHeldMessages = 4096
	maxHeldBytes    = 16 << 20
)

// newIOPub makes the socket; up is called when somebody has subscribed.
func newIOPub(session *wire.Session, curve *sockets.Curve, log hclog.Logger, up func()) *iopub {
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

// up tells whether somebody has subscribed.
func (p *iopub) up() bool {
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
		p.log.Warn("output lost: the controller does not take it as fast as it comes", "messages", n-p.dropped)
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
			p.log.Warn("output lost: nobody has subscribed to it")
			p.lost = true
		}
		return
	}
	p.held = append(p.held, sockets.Own(frames))
	p.heldBytes += size
}

func (p *iopub) close(linger time.Duration) error { return p.socket.Close(linger) }
