package sockets

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/sockets/curve"
	"github.com/ipcore/ipcore/core/sockets/zmtp"
)

// Socket is a ZeroMQ socket: any number of listeners and dialed endpoints of one kind.
// All methods are safe for concurrent use. Sending never calls a callback. Close waits
// for callbacks, so it must not be called with a lock held that a callback takes.
type Socket struct {
	kind   Kind
	o      Options
	log    hclog.Logger
	curve  *curve.Keys     // nil: not encrypted
	ctx    context.Context // ends at Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // counts every goroutine of the socket

	// mu guards the fields up to waiting. Lock order: Socket.mu, then Conn.mu.
	mu        sync.RWMutex
	closed    bool
	listeners []net.Listener
	conns     []*Conn
	byID      map[string]*Conn    // ROUTER: the newest connection of each identity
	topics    map[string]struct{} // SUB: its subscriptions
	waiting   messageQueue        // DEALER: messages while no peer is connected

	peerIndex    atomic.Uint32 // DEALER: counts the messages, to send to peers in turn
	replay       *replay       // PUB with Options.Replay, else nil
	pending      handshakes
	refusals     refusals
	lastIdentity atomic.Uint32
	dropped      atomic.Uint64
	totals       totals
}

// New returns a socket of the given kind. It panics if there is no such kind.
func New(kind Kind, o Options) *Socket {
	switch kind {
	case Router, Dealer, Pub, Sub:
	default:
		panic(fmt.Sprintf("sockets: unknown kind %q", kind))
	}
	o.Limits = o.Limits.withDefaults()
	s := &Socket{kind: kind, o: o, log: o.Log, byID: make(map[string]*Conn), topics: make(map[string]struct{})}
	if s.log == nil {
		s.log = hclog.NewNullLogger()
	}
	if kind == Pub && o.Replay > 0 {
		s.replay = &replay{keep: o.Replay}
	}
	if o.Curve != nil {
		s.curve = o.Curve.Keys()
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Send sends a message and flushes. On a DEALER it goes to the peer; several peers get
// messages in turn, and while there is no peer the message waits in a queue of at most
// Limits.SendQueue bytes. On a PUB it goes to every subscriber whose topics match, and
// there is no error if there is none or if one is over its high-water mark. The error is
// ErrFull or ErrClosed.
func (s *Socket) Send(frames ...[]byte) error {
	err := s.Enqueue(frames...)
	FlushAll()
	return err
}

// Enqueue is Send without the flush. The message is written by FlushAll, or, if a Handler
// enqueues it, at the end of the read.
func (s *Socket) Enqueue(frames ...[]byte) error {
	switch s.kind {
	case Pub:
		return s.publish(frames)
	case Dealer:
	default:
		return fmt.Errorf("send on a %s socket: use SendTo", s.kind)
	}
	for {
		c := s.nextPeer()
		if c == nil {
			sent, err := s.queueForPeer(frames)
			if sent || err != nil {
				return err
			}
			continue // a peer has connected meanwhile
		}
		if err := c.Enqueue(frames...); !errors.Is(err, ErrNoPeer) {
			return err
		}
		s.remove(c)
	}
}

// nextPeer returns the connection of a DEALER that gets the next message, or nil.
func (s *Socket) nextPeer() *Conn {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(s.conns) == 0 {
		return nil
	}
	return s.conns[int(s.peerIndex.Add(1))%len(s.conns)]
}

// queueForPeer keeps a message until a peer connects. It returns false if one has.
func (s *Socket) queueForPeer(frames [][]byte) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false, ErrClosed
	}
	if len(s.conns) > 0 {
		return false, nil
	}
	if !s.waiting.push(frames, s.o.Limits.SendQueue) {
		return false, ErrFull
	}
	return true, nil
}

// SendTo sends a message to the peer of a ROUTER that has this identity, and flushes. The
// error is ErrNoPeer, ErrFull or ErrClosed.
func (s *Socket) SendTo(identity []byte, frames ...[]byte) error {
	s.mu.RLock()
	c, closed := s.byID[string(identity)], s.closed
	s.mu.RUnlock()
	switch {
	case closed:
		return ErrClosed
	case c == nil:
		return ErrNoPeer
	}
	return c.Send(frames...)
}

// Lookup returns the connection of the peer of a ROUTER that has this identity, or nil.
func (s *Socket) Lookup(identity []byte) *Conn {
	s.mu.RLock()
	c := s.byID[string(identity)]
	s.mu.RUnlock()
	return c
}

// Dropped returns how many messages a PUB has dropped because a subscriber was over its
// high-water mark.
func (s *Socket) Dropped() uint64 { return s.dropped.Load() }

// add adds a connection that finished its handshake. From now on it can be sent to. It
// first gets the subscriptions of a SUB, or the waiting messages of a DEALER. A ROUTER
// disconnects the older connection with the same identity.
func (s *Socket) add(c *Conn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	for topic := range s.topics {
		if err := c.put(false, zmtp.SubscribeMessage(topic)); err != nil {
			return err
		}
	}
	for _, m := range s.waiting.messages {
		if err := c.put(false, m...); err != nil {
			return err
		}
	}
	s.waiting = messageQueue{}
	if s.kind == Router {
		if len(c.id) == 0 || c.id[0] == 0 {
			c.id = s.newIdentity()
		}
		if old := s.byID[string(c.id)]; old != nil {
			old.fail(errTakenOver)
		}
		s.byID[string(c.id)] = c
	}
	s.conns = append(s.conns, c)
	s.totals.handshakes.Add(1)
	return nil
}

// newIdentity returns an identity that no peer can claim: zero and a counter. The caller
// holds s.mu.
func (s *Socket) newIdentity() []byte {
	for {
		id := binary.BigEndian.AppendUint32(make([]byte, 1, 5), s.lastIdentity.Add(1))
		if s.byID[string(id)] == nil {
			return id
		}
	}
}

// remove removes a connection. Its identity may belong to a newer connection already.
func (s *Socket) remove(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.conns, c); i >= 0 {
		last := len(s.conns) - 1
		s.conns[i] = s.conns[last]
		s.conns[last] = nil
		s.conns = s.conns[:last]
	}
	if s.byID[string(c.id)] == c {
		delete(s.byID, string(c.id))
	}
	s.addTotals(c)
}

// start runs f as a goroutine of the socket. It returns false if the socket is closed.
func (s *Socket) start(f func()) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return false
	}
	s.wg.Go(f)
	return true
}

// Close closes listeners and connections and returns when all goroutines have ended. It
// must not be called from a callback. Bytes queued on connections are written for at most
// linger. Messages that a DEALER keeps because no peer is connected are dropped. The error
// is always nil.
func (s *Socket) Close(linger time.Duration) error {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	listeners, conns := s.listeners, slices.Clone(s.conns)
	s.listeners, s.waiting = nil, messageQueue{}
	s.mu.Unlock()
	if first {
		s.cancel()
		for _, l := range listeners {
			_ = l.Close() // the accept loop reports other errors
		}
		s.pending.closeAll()
		finish(conns, time.Now().Add(linger))
	}
	s.wg.Wait()
	return nil
}

// finish writes what is queued until deadline, and disconnects the peers. If there is time
// left, it first closes its own direction of each connection and waits a moment for the
// peer to do the same: closing a connection with unread bytes resets it, which could lose
// the last message.
func finish(conns []*Conn, deadline time.Time) {
	for _, c := range conns {
		c.discard.Store(true)
		c.Flush()
	}
	if time.Until(deadline) > 0 {
		for _, c := range conns {
			if c.waitDrained(deadline) {
				_ = c.tcp.CloseWrite() // fails if the peer is gone, which is as good
			}
		}
		grace := time.NewTimer(min(time.Until(deadline), finishGrace))
		defer grace.Stop()
		for _, c := range conns {
			select {
			case <-c.readEnd:
				continue
			case <-grace.C:
			}
			break
		}
	}
	for _, c := range conns {
		c.fail(ErrClosed)
	}
}

// finishGrace is how long Close waits for peers to close after everything was written.
const finishGrace = 250 * time.Millisecond

// messageQueue is a bounded queue of whole messages.
type messageQueue struct {
	messages [][][]byte
	bytes    int64
}

// push adds a copy of a message. It returns false if the queue has limit bytes already.
func (b *messageQueue) push(frames [][]byte, limit int64) bool {
	if b.bytes >= limit {
		return false
	}
	b.bytes += zmtp.WireSize(frames)
	b.messages = append(b.messages, Retain(frames))
	return true
}

// Retain returns a message that may be kept after the Handler returns: the small frames
// are copied into one allocation, and the large ones are shared.
func Retain(frames [][]byte) [][]byte {
	n := 0
	for _, f := range frames {
		if len(f) < LargeFrame {
			n += len(f)
		}
	}
	own, buf := make([][]byte, len(frames)), make([]byte, 0, n)
	for i, f := range frames {
		if len(f) >= LargeFrame {
			own[i] = f
			continue
		}
		start := len(buf)
		buf = append(buf, f...)
		own[i] = buf[start:len(buf):len(buf)]
	}
	return own
}
