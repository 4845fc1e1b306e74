package sockets

import (
	"errors"
	"math"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/sockets/curve"
)

// LargeFrame is the size in bytes from which a received frame has memory of its own,
// and a frame that is sent is not copied (see the package comment).
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

// Limits bound the memory that peers can make a socket use. Zero fields take the
// defaults.
type Limits struct {
	// HandshakeTimeout is the time for a whole handshake. The default is 10 s.
	HandshakeTimeout time.Duration
	// MaxHandshakes is how many handshakes of accepted connections may be in
	// progress. When there are more, the oldest is closed. The default is 1024.
	MaxHandshakes int
	// MaxFrame and MaxMessage bound the bytes of one frame and of one message. The
	// defaults are 16 GiB and 32 GiB, because arrays are sent whole. A frame whose
	// size is only claimed takes 1 MiB; as it arrives, it takes at most sixteen times
	// the bytes received so far. Peers that are trusted (Conn.Trust) may take more.
	MaxFrame   int64
	MaxMessage int64
	// MaxFrames bounds the frames of one message. The default is 65,536.
	MaxFrames int
	// SendQueue is the high-water mark of one peer: a message is refused while this
	// many bytes or more are queued for the peer. One message may exceed it. The
	// default is 1 GiB.
	SendQueue int64
	// StuckAfter is how long a peer over its high-water mark may take nothing before
	// it is disconnected. The default is 30 s.
	StuckAfter time.Duration
}

// withDefaults returns l with its zero fields filled in.
func (l Limits) withDefaults() Limits {
	def := func(v *int64, d int64) {
		if *v <= 0 {
			*v = d
		}
	}
	def((*int64)(&l.HandshakeTimeout), int64(10*time.Second))
	def(&l.MaxFrame, 16<<30)
	l.MaxFrame = min(l.MaxFrame, math.MaxInt/2) // a frame must fit into a slice
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
	// Identity is the routing id that is sent to peers. If it is empty, peers generate
	// one.
	Identity []byte
	// Handler gets each complete message on the reader goroutine of its connection:
	// one at a time for a connection, but several connections at once. On a ROUTER the
	// peer's identity is c.Identity(), not a frame. Handler may change the slice frames
	// itself (put another identity into frames[0] and pass it on), but not the bytes of
	// a frame of LargeFrame or more. Messages that it enqueues on any connection are
	// flushed when there is nothing more to read, or after 512 messages.
	// A nil Handler drops messages.
	Handler func(c *Conn, frames [][]byte)
	// AfterRead, if not nil, is called on the reader goroutine before each such flush,
	// if Handler was called since the last one. Other readers that are ready to run get
	// the chance to read first. A Handler that only gathers messages thus lets AfterRead
	// process them in batches, which may hold the messages of several readers.
	AfterRead func()
	// Connected is called when a peer has finished its handshake and can be sent to,
	// before its first message. Disconnected is called exactly once after Connected and
	// after the peer's last message. Either may be nil. When a second connection takes
	// over an identity, the Disconnected of the first may come after the Connected of
	// the second: compare connections, not identities.
	Connected    func(c *Conn)
	Disconnected func(c *Conn, err error)
	// Subscribed (PUB) is called when a peer starts (on) or ends a subscription. topic
	// is valid until it returns.
	Subscribed func(c *Conn, topic []byte, on bool)
	// Replay (PUB) is how long published messages, up to 1 MiB of them, are kept for
	// peers that subscribe later: a new subscriber gets these messages first. So a
	// client whose subscription arrives only after its request was handled misses
	// nothing. Zero keeps no messages.
	Replay time.Duration
	// Curve encrypts the socket; nil does not. New panics if its keys are missing.
	Curve  *curve.Config
	Limits Limits
	Log    hclog.Logger // nil discards
}
