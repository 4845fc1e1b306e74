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

// Socket is a ZeroMQ socket: any number of listeners and dialled endpoints of
// one kind. All methods are safe for concurrent use. Sending never calls back;
// Close waits for callbacks and must not be called with a lock they take.
type Socket struct {
	kind   Kind
	o      Options
	log    hclog.Logger
	curve  *curve.Keys     // or nil
	ctx    context.Context // ends at Close
	cancel context.CancelFunc
	wg     sync.WaitGroup // every goroutine of the socket

	// mu guards what follows. Lock order: Socket.mu, then Conn.mu.
	mu        sync.RWMutex
	closed    bool
	listeners []net.Listener
	conns     []*Conn
	byID      map[string]*Conn    // ROUTER: newest connection of an identity
	topics    map[string]struct{} // SUB: its subscriptions
	waiting   messageQueue        // DEALER: messages that wait for a peer

	peerIndex    atomic.Uint32 // DEALER: whose turn it is
	replay       *replay       // PUB with Options.Recall
	pending      handshakes
	refusals     refusals
	lastIdentity atomic.Uint32
	dropped      atomic.Uint64
	totals       totals
}

// New makes a socket of the given kind. It panics for a kind that is none.
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

// Send sends to the peer of a DEALER (several peers take turns; while there
// is none it waits in a queue of at most Limits.SendQueue bytes) or to every
// matching subscriber of a PUB, where it reports neither missing nor full
// subscribers. ErrFull, ErrClosed.
func (s *Socket) Send(frames ...[]byte) error {
	err := s.Enqueue(frames...)
	FlushAll()
	return err
}

// Enqueue is Send without the flush: FlushAll, or the end of the read in whose
// Handler it was called, writes the message.
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
			continue // a peer came in between
		}
		if err := c.Enqueue(frames...); !errors.Is(err, ErrNoPeer) {
			return err
		}
		s.remove(c)
	}
}

// turn answers the next connection of a DEALER, or nil.
func (s *Socket) nextPeer() *Conn {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(s.conns) == 0 {
		return nil
	}
	return s.conns[int(s.peerIndex.Add(1))%len(s.conns)]
}

// queueForPeer keeps a message until a peer connects; false when one has.
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

// SendTo sends to the peer of a ROUTER that has this identity: ErrNoPeer,
// ErrFull, ErrClosed.
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

// Lookup answers the connection of a ROUTER's peer, or nil.
func (s *Socket) Lookup(identity []byte) *Conn {
	s.mu.RLock()
	c := s.byID[string(identity)]
	s.mu.RUnlock()
	return c
}

// Dropped answers how many messages a PUB has dropped because a subscriber
// was over its mark.
func (s *Socket) Dropped() uint64 { return s.dropped.Load() }

// add enters a connection that finished its handshake: from now on it can be
// sent to, after the subscriptions and messages that wait for it. A ROUTER drops the older connection with the same identity.
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

// inventID answers an identity that no peer can claim: zero and a counter.
// The caller holds s.mu.
func (s *Socket) newIdentity() []byte {
	for {
		id := binary.BigEndian.AppendUint32(make([]byte, 1, 5), s.lastIdentity.Add(1))
		if s.byID[string(id)] == nil {
			return id
		}
	}
}

// remove takes a connection out; its identity may have a newer owner.
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

// start runs f as a goroutine of the socket; false once it is closed.
func (s *Socket) start(f func()) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return false
	}
	s.wg.Go(f)
	return true
}

// Close ends listeners, connections and their goroutines, and returns when
// all have ended; it must not be called from a callback. Bytes queued on
// connections are written for at most linger; what a DEALER keeps for a peer
// that never came is dropped.
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
			_ = l.Close() // the accept loop reports what matters
		}
		s.pending.closeAll()
		finish(conns, time.Now().Add(linger))
	}
	s.wg.Wait()
	return nil
}

// finish writes what is queued until deadline and drops the peers. With time
// left it ends its own direction first and waits a moment for the peers to do
// the same: closing with unread bytes would reset a connection and could take
// the last message along.
func finish(conns []*Conn, deadline time.Time) {
	for _, c := range conns {
		c.discard.Store(true)
		c.Flush()
	}
	if time.Until(deadline) > 0 {
		for _, c := range conns {
			if c.waitDrained(deadline) {
				_ = c.tcp.CloseWrite() // fails when the peer has gone: as good
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

// finishGrace is how long Close waits for peers that were sent everything.
const finishGrace = 250 * time.Millisecond

// backlog is a bounded queue of whole messages.
type messageQueue struct {
	messages [][][]byte
	bytes    int64
}

// push keeps a copy of a message, unless the bytes kept reach limit.
func (b *messageQueue) push(frames [][]byte, limit int64) bool {
	if b.bytes >= limit {
		return false
	}
	b.bytes += zmtp.WireSize(frames)
	b.messages = append(b.messages, Retain(frames))
	return true
}

// Own answers a copy of frames that outlives the handler: small frames are
// copied into one allocation, large ones shared.
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
