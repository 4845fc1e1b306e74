package sockets

import (
	"errors"
	"math"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/sockets/curve"
)

// LargeFrame is the size in bytes from which a received frame has memory of
// its own (see the package comment).
const LargeFrame = 64 << 10

// Kind is a ZeroMQ socket type.
type Kind string

// The socket kinds.
const (
	Router Kind = "ROUTER" // peers: ROUTER, DEALER, REQ
	Dealer Kind = "DEALER" // peers: ROUTER, DEALER, REP
	Pub    Kind = "PUB"    // peers: SUB, XSUB
	Sub    Kind = "SUB"    // peers: PUB, XPUB
)

// Errors of sending.
var (
	ErrNoPeer = errors.New("no peer with this identity is connected")
	ErrFull   = errors.New("the peer's send queue is full")
	ErrClosed = errors.New("socket closed")
)

// Limits bound what peers can make us hold. Zero fields take the defaults.
type Limits struct {
	// HandshakeTimeout is the time for a whole handshake: 10 s.
	HandshakeTimeout time.Duration
	// MaxHandshakes is how many handshakes of accepted connections may be in
	// progress; beyond it the oldest is closed: 1024.
	MaxHandshakes int
	// MaxFrame and MaxMessage bound the bytes of one frame and of one
	// message: 16 GiB and 32 GiB, for arrays are sent whole. A claimed size
	// alone costs 1 MiB; further memory is at most sixteen times what has come,
	// but for peers that are trusted (Conn.Trust).
	MaxFrame   int64
	MaxMessage int64
	// MaxFrames bounds the frames of one message: 65,536.
	MaxFrames int
	// SendQueue is the high-water mark of one peer: a message is refused
	// while this many bytes wait for it: 1 GiB. (One message may go over.)
	SendQueue int64
	// StuckAfter is how long a peer over its mark may take nothing before it
	// is dropped: 30 s.
	StuckAfter time.Duration
}

// withDefaults answers l with its zero fields filled in.
func (l Limits) withDefaults() Limits {
	def := func(v *int64, d int64) {
		if *v <= 0 {
			*v = d
		}
	}
	def((*int64)(&l.HandshakeTimeout), int64(10*time.Second))
	def(&l.MaxFrame, 16<<30)
	l.MaxFrame = min(l.MaxFrame, math.MaxInt/2) // a slice must hold it
	def(&l.MaxMessage, 32<<30)
	def(&l.SendQueue, 1<<30)
	def((*int64)(&l.StuckAfter), int64(30*time.Second))
	if l.MaxHandshakes <= 0 {
		l.MaxHandshakes = 1024
	}
	if l.MaxFrames <= 0 {
		l.MaxFrames = 1 << 16
	}
	return l
}

// Options describe a socket.
type Options struct {
	// Identity is the routing id told to peers; empty lets them invent one.
	Identity []byte
	// Handler gets each complete message on the reader goroutine of its
	// connection: one at a time per connection, many connections at once.
	// On a ROUTER the peer's identity is c.Identity(), not a frame.
	// Handler may change the slice frames itself (put another identity in
	// frames[0] and pass it on), not the bytes of a frame of LargeFrame and
	// more. What it enqueued on any connection is flushed when there is nothing
	// more to read, or after 512 messages.
	// A nil Handler drops messages.
	Handler func(c *Conn, frames [][]byte)
	// Settle, if there, is called on the reader goroutine before each such flush
	// when Handler was called, after other readers that can run had their turn:
	// a Handler that gathers messages has them handled
	// there, those of many readers at once.
	AfterRead func()
	// Connected is called when a peer has finished its handshake and can be
	// sent to, before its first message; Disconnected exactly once after it
	// and after its last message. Either may be nil. When a second connection
	// takes over an identity, the Disconnected of the first may come after the
	// Connected of the second: compare connections, not identities.
	Connected    func(c *Conn)
	Disconnected func(c *Conn, err error)
	// Subscribed (PUB) is called when a peer starts or ends a subscription.
	// topic is borrowed until it returns.
	Subscribed func(c *Conn, topic []byte, on bool)
	// Recall (PUB) is for how long published messages, up to 1 MiB of them, are
	// remembered for peers that subscribe later: they get those first. A client
	// whose subscription is still under way when its request has been answered
	// misses nothing then. Zero remembers nothing.
	Replay time.Duration
	// Curve encrypts the socket; nil does not. New panics when its keys are
	// missing.
	Curve  *curve.Config
	Limits Limits
	Log    hclog.Logger // nil discards
}
