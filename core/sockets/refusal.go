package sockets

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/ipcore/ipcore/core/sockets/zmtp"
	"github.com/ipcore/ipcore/internal/lograte"
)

// refusalLines is how many refused peers are logged in a second, from whatever
// addresses they come.
const refusalLines = 5

// refusals decides which refused peers are logged: each address once a minute, and
// refusalLines a second in all.
type refusals struct {
	hosts lograte.Events[string]

	// mu guards what follows.
	mu      sync.Mutex
	second  time.Time // when the current second began
	lines   int       // logged in it
	skipped int       // refusals without a line since the last line
}

// allow reports whether to log a refusal of host, and how many were not logged before.
func (r *refusals) allow(host string) (skipped int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now(); now.Sub(r.second) >= time.Second {
		r.second, r.lines = now, 0
	}
	if r.lines < refusalLines {
		_, ok = r.hosts.Log(host)
	}
	if !ok {
		r.skipped++
		return 0, false
	}
	r.lines++
	skipped, r.skipped = r.skipped, 0
	return skipped, true
}

// refuse logs why a peer is not served, or no longer, and closes its connection.
func (s *Socket) refuse(tcp *net.TCPConn, err error) {
	defer func() { _ = tcp.Close() }() // nothing is queued for the peer
	if s.ctx.Err() != nil {
		return
	}
	s.totals.refused.Add(1)
	addr := tcp.RemoteAddr().String()
	host, _, splitErr := net.SplitHostPort(addr)
	if splitErr != nil {
		host = addr
	}
	if skipped, ok := s.refusals.allow(host); ok {
		s.log.Warn("refused a connection", "peer", addr, "socket", string(s.kind), "reason", reason(err), "not_logged", skipped)
	}
}

// reason returns the innermost cause of a failed handshake, in plain words where Go's
// are not.
func reason(err error) string {
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return "no complete handshake in time"
	case errors.Is(err, io.EOF):
		return "the peer closed the connection during the handshake"
	}
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return err.Error()
}

// logEnded logs why a connection ended: as a refusal if the peer broke the protocol.
func (s *Socket) logEnded(c *Conn, err error) {
	if _, ok := errors.AsType[zmtp.ProtocolError](err); ok {
		s.refuse(c.tcp, err)
		return
	}
	s.log.Debug("connection ended", "peer", c.RemoteAddr().String(), "identity", zmtp.Printable(c.id), "reason", err)
}
