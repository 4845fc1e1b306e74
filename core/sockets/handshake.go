package sockets

import (
	"container/list"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/go-zeromq/zmq4"

	"github.com/ipcore/ipcore/core/sockets/curve"
	"github.com/ipcore/ipcore/core/sockets/zmtp"
)

// handshakeConn is the net.Conn that zmq4 sees during the handshake.
//
// It reads through the connection's own buffer and passes a frame on only after it has
// checked the frame's header: the greeting is followed by commands of at most
// zmtp.MaxCommand bytes. So zmq4 never allocates memory for a size that a peer merely
// claims. zmq4 reads exactly what it needs, so bytes after the handshake stay in the
// buffer. zmq4 writes in small pieces, which are collected and written when it waits for
// the peer, or has finished.
type handshakeConn struct {
	net.Conn
	out       []byte // collected to be written
	in        *inbox
	mechanism string // the only security mechanism that is accepted
	greeting  bool   // the greeting has been received
	allowed   int    // bytes that may be passed on
}

// Read implements net.Conn.
func (h *handshakeConn) Read(p []byte) (int, error) {
	in := h.in
	for h.allowed == 0 || in.pos == in.end {
		if h.allowed == 0 {
			if err := h.checkNext(); err != nil {
				_ = h.flush() // our greeting shows the peer why, if it is still connected
				return 0, err
			}
			if h.allowed > 0 {
				continue
			}
		}
		if in.pos == in.end {
			in.pos, in.end, in.start = 0, 0, 0
		} else if in.end == len(in.buf) {
			in.start = in.pos
			in.shift(in.pos)
		}
		if err := h.readMore(); err != nil {
			return 0, err
		}
	}
	n := copy(p, in.buf[in.pos:min(in.end, in.pos+h.allowed)])
	in.pos += n
	in.start = in.pos
	h.allowed -= n
	return n, nil
}

// readMore reads once. It first looks whether the peer's next part has arrived already,
// and writes only if not. A peer that connects has sent its greeting at once; so it gets
// ours together with what follows it.
func (h *handshakeConn) readMore() error {
	if ahead, ok := h.in.r.(nonblockingReader); ok && len(h.out) > 0 {
		n, err := ahead.tryRead(h.in.buf[h.in.end:])
		h.in.end += n
		if n > 0 || err != nil {
			return err
		}
	}
	if err := h.flush(); err != nil {
		return err
	}
	return h.in.fill()
}

// Write implements net.Conn.
func (h *handshakeConn) Write(p []byte) (int, error) {
	h.out = append(h.out, p...)
	return len(p), nil
}

func (h *handshakeConn) flush() error {
	if len(h.out) == 0 {
		return nil
	}
	_, err := h.Conn.Write(h.out)
	h.out = h.out[:0]
	return err
}

// checkNext checks what is next in the buffer and sets how much of it may be passed on.
// That stays 0 while there is too little to decide.
func (h *handshakeConn) checkNext() error {
	b := h.in.buf[h.in.pos:h.in.end]
	if !h.greeting {
		if len(b) == 0 {
			return nil
		}
		if b[0] != zmtp.Signature {
			return fmt.Errorf("not ZeroMQ: the first byte is %#02x", b[0])
		}
		if len(b) < zmtp.GreetingSize {
			return nil
		}
		if theirs := zmtp.Mechanism(b); theirs != h.mechanism {
			return fmt.Errorf("the peer speaks %s, this socket %s", zmtp.Printable([]byte(theirs)), h.mechanism)
		}
		h.greeting, h.allowed = true, zmtp.GreetingSize
		return nil
	}
	flags, size, head := zmtp.ParseHeader(b)
	switch {
	case head == 0:
	case flags&^zmtp.FlagLong != zmtp.FlagCommand:
		return fmt.Errorf("frame with flags %#x during the handshake", flags)
	case size > zmtp.MaxCommand:
		return fmt.Errorf("command of %d bytes during the handshake: at most %d", size, zmtp.MaxCommand)
	default:
		h.allowed = head + int(size)
	}
	return nil
}

// newSecurity returns the security mechanism of one connection.
func (s *Socket) newSecurity() zmq4.Security {
	ours := zmtp.Properties(string(s.kind), s.o.Identity)
	if s.curve == nil {
		return zmtp.NullMechanism{Properties: ours}
	}
	return curve.NewMechanism(s.curve, ours)
}

// handshake turns tcp into a connection. If it fails, the caller closes tcp.
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
	h := &handshakeConn{Conn: tcp, in: &c.in, mechanism: string(security.Type())}
	z, err := zmq4.Open(h, security, zmq4.SocketType(s.kind),
		zmq4.SocketIdentity(s.o.Identity), endpoint == "", nil)
	if err == nil {
		err = h.flush()
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
	list   list.List // of *net.TCPConn
	closed bool
}

var errTooManyHandshakes = errors.New("too many handshakes in progress")

// add adds a handshake and, if there are more than limit, closes the oldest.
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

// remove removes a handshake. It returns false if add had closed it to make room.
func (h *handshakes) remove(e *list.Element) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := h.list.Len()
	h.list.Remove(e)
	return h.list.Len() < n
}

// count returns how many handshakes are in progress.
func (h *handshakes) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.list.Len()
}

// closeAll ends all handshakes, and those that are added later.
func (h *handshakes) closeAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for e := h.list.Front(); e != nil; e = e.Next() {
		_ = e.Value.(*net.TCPConn).Close()
	}
}
