package sockets

import (
	"container/list"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/go-zeromq/zmq4"

	"github.com/ipcore/ipcore/core/sockets/curve"
	"github.com/ipcore/ipcore/core/sockets/zmtp"
)

// guard is the net.Conn that zmq4 sees during the handshake. It reads through
// the connection's own buffer and hands a frame on only when its head has been
// seen: after the greeting come commands of at most zmtp.MaxCommand bytes, so zmq4
// never allocates what a peer merely claims. zmq4 reads exactly what it needs;
// what follows the handshake stays in the buffer. What zmq4 writes in pieces is
// written when it waits for an answer, or has finished.
type handshakeConn struct {
	net.Conn
	out       []byte
	in        *inbox
	mechanism string // the only one that is welcome
	greeting  bool   // the greeting has come
	allowed   int    // bytes that may be handed on
}

// Read implements net.Conn.
func (g *handshakeConn) Read(p []byte) (int, error) {
	in := g.in
	for g.allowed == 0 || in.pos == in.end {
		if g.allowed == 0 {
			if err := g.checkNext(); err != nil {
				_ = g.flush() // our greeting tells the peer why, if it is still there
				return 0, err
			}
			if g.allowed > 0 {
				continue
			}
		}
		if in.pos == in.end {
			in.pos, in.end, in.start = 0, 0, 0
		} else if in.end == len(in.buf) {
			in.start = in.pos
			in.shift(in.pos)
		}
		if err := g.readMore(); err != nil {
			return 0, err
		}
	}
	n := copy(p, in.buf[in.pos:min(in.end, in.pos+g.allowed)])
	in.pos += n
	in.start = in.pos
	g.allowed -= n
	return n, nil
}

// more reads once. What is to be written waits while the peer's next part is
// there: one that connects has sent its greeting at once, and gets ours with what
// follows it.
func (g *handshakeConn) readMore() error {
	if ahead, ok := g.in.r.(nonblockingReader); ok && len(g.out) > 0 {
		n, err := ahead.tryRead(g.in.buf[g.in.end:])
		g.in.end += n
		if n > 0 || err != nil {
			return err
		}
	}
	if err := g.flush(); err != nil {
		return err
	}
	return g.in.fill()
}

// Write implements net.Conn.
func (g *handshakeConn) Write(p []byte) (int, error) {
	g.out = append(g.out, p...)
	return len(p), nil
}

func (g *handshakeConn) flush() error {
	if len(g.out) == 0 {
		return nil
	}
	_, err := g.Conn.Write(g.out)
	g.out = g.out[:0]
	return err
}

// admit looks at what comes next and sets how much of it may be handed on;
// that stays 0 while too little is there to tell.
func (g *handshakeConn) checkNext() error {
	b := g.in.buf[g.in.pos:g.in.end]
	if !g.greeting {
		if len(b) == 0 {
			return nil
		}
		if b[0] != zmtp.Signature {
			return fmt.Errorf("not ZeroMQ: first byte is %#02x", b[0])
		}
		if len(b) < zmtp.GreetingSize {
			return nil
		}
		if theirs := zmtp.Mechanism(b); theirs != g.mechanism {
			return fmt.Errorf("the peer speaks %s, this socket %s", zmtp.Printable([]byte(theirs)), g.mechanism)
		}
		g.greeting, g.allowed = true, zmtp.GreetingSize
		return nil
	}
	flags, size, head := zmtp.ParseHeader(b)
	switch {
	case head == 0:
	case flags&^zmtp.FlagLong != zmtp.FlagCommand:
		return fmt.Errorf("frame with flags %#x within the handshake", flags)
	case size > zmtp.MaxCommand:
		return fmt.Errorf("command of %d bytes within the handshake", size)
	default:
		g.allowed = head + int(size)
	}
	return nil
}

// newSecurity answers the mechanism of one connection.
func (s *Socket) newSecurity() zmq4.Security {
	ours := zmtp.Properties(string(s.kind), s.o.Identity)
	if s.curve == nil {
		return zmtp.NullMechanism{Properties: ours}
	}
	return curve.NewMechanism(s.curve, ours)
}

// handshake makes a connection of tcp. When it fails the caller closes tcp.
func (s *Socket) handshake(tcp *net.TCPConn, endpoint string) (c *Conn, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("malformed handshake: %v", p)
		}
	}()
	if err := tcp.SetDeadline(time.Now().Add(s.o.Limits.HandshakeTimeout)); err != nil {
		return nil, err
	}
	if c, err = newConn(s, tcp, endpoint); err != nil {
		return nil, err
	}
	c.in.buf = make([]byte, idleBuffer)
	security := s.newSecurity()
	g := &handshakeConn{Conn: tcp, in: &c.in, mechanism: string(security.Type())}
	z, err := zmq4.Open(g, security, zmq4.SocketType(s.kind),
		zmq4.SocketIdentity(s.o.Identity), endpoint == "", nil)
	if err == nil {
		err = g.flush()
	}
	if err != nil {
		return nil, err
	}
	if m, ok := security.(*curve.Mechanism); ok {
		c.out.sealer, c.in.opener = m.Sealer(), m.Opener()
	}
	c.id = []byte(z.Peer.Meta[zmtp.PropertyIdentity])
	if len(c.id) > zmtp.MaxIdentity {
		return nil, fmt.Errorf("identity of %d bytes: at most %d", len(c.id), zmtp.MaxIdentity)
	}
	return c, tcp.SetDeadline(time.Time{})
}

// handshakes are those in progress, oldest first.
type handshakes struct {
	mu     sync.Mutex
	list   list.List
	closed bool
}

var errTooManyHandshakes = errors.New("too many handshakes in progress")

// enter adds one and closes the oldest beyond limit.
func (h *handshakes) add(tcp *net.TCPConn, limit int) *list.Element {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		_ = tcp.Close()
	}
	e := h.list.PushBack(tcp)
	if h.list.Len() > limit {
		oldest := h.list.Front()
		_ = oldest.Value.(*net.TCPConn).Close()
		h.list.Remove(oldest)
	}
	return e
}

// leave takes one out; false when it had been closed to make room.
func (h *handshakes) remove(e *list.Element) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := h.list.Len()
	h.list.Remove(e)
	return h.list.Len() < n
}

// closeAll ends all handshakes, now and later.
func (h *handshakes) closeAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for e := h.list.Front(); e != nil; e = e.Next() {
		_ = e.Value.(*net.TCPConn).Close()
	}
}

// refusals logs why peers were refused: once a minute for each address, and a
// few lines a second at most, whatever comes in.
type refusals struct {
	mu      sync.Mutex
	seen    map[string]time.Time
	second  time.Time
	lines   int
	skipped int
}

const (
	refusalEvery   = time.Minute
	refusalLines   = 5
	refusalEntries = 1024
)

// allow reports whether to log a refusal of host, and how many were not
// logged before.
func (r *refusals) allow(host string, now time.Time) (skipped int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Sub(r.second) >= time.Second {
		r.second, r.lines = now, 0
	}
	if last, ok := r.seen[host]; r.lines >= refusalLines || ok && now.Sub(last) < refusalEvery {
		r.skipped++
		return 0, false
	}
	if r.seen == nil || len(r.seen) >= refusalEntries {
		r.seen = make(map[string]time.Time)
	}
	r.seen[host] = now
	r.lines++
	skipped, r.skipped = r.skipped, 0
	return skipped, true
}

// refuse logs why a peer is not served (any more) and closes its connection.
func (s *Socket) refuse(tcp *net.TCPConn, err error) {
	defer func() { _ = tcp.Close() }() // nothing was promised to the peer
	if s.ctx.Err() != nil {
		return
	}
	s.totals.refused.Add(1)
	addr := tcp.RemoteAddr().String()
	host, _, splitErr := net.SplitHostPort(addr)
	if splitErr != nil {
		host = addr
	}
	if skipped, ok := s.refusals.allow(host, time.Now()); ok {
		s.log.Warn("refused a connection", "peer", addr, "socket", string(s.kind), "reason", reason(err), "not_logged", skipped)
	}
}

// reason puts the cause of a failure in plain words.
func reason(err error) string {
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return "no complete handshake in time"
	case errors.Is(err, io.EOF):
		return "closed by the peer within the handshake"
	}
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return err.Error()
}
