package sockets

import "sync/atomic"

// Stats are counts of what a socket has done, and what it has now.
type Stats struct {
	Connections int    // now
	Handshaking int    // accepted peers whose handshake is in progress
	Handshakes  uint64 // that succeeded
	Refused     uint64 // connections closed because of a failed handshake or a protocol error
	Received    Traffic
	Sent        Traffic // queued for peers; not written if the peer disconnects first
	Full        uint64  // messages refused because their peer does not read
	Queued      int64   // bytes that are queued and not written yet
}

// Traffic is a number of messages and the bytes of their frames.
type Traffic struct{ Messages, Bytes uint64 }

// Plus returns the sum of s and o.
func (s Stats) Plus(o Stats) Stats {
	s.Connections += o.Connections
	s.Handshaking += o.Handshaking
	s.Handshakes += o.Handshakes
	s.Refused += o.Refused
	s.Received = s.Received.plus(o.Received)
	s.Sent = s.Sent.plus(o.Sent)
	s.Full += o.Full
	s.Queued += o.Queued
	return s
}

func (t Traffic) plus(o Traffic) Traffic {
	return Traffic{Messages: t.Messages + o.Messages, Bytes: t.Bytes + o.Bytes}
}

func (t Traffic) minus(o Traffic) Traffic {
	return Traffic{Messages: t.Messages - o.Messages, Bytes: t.Bytes - o.Bytes}
}

func (t *Traffic) count(bytes int64) {
	t.Messages++
	t.Bytes += uint64(bytes)
}

// sharedTraffic is the Traffic that one goroutine counts and others read. The two numbers
// may be from slightly different moments.
type sharedTraffic struct{ messages, bytes atomic.Uint64 }

func (s *sharedTraffic) set(t Traffic) {
	s.messages.Store(t.Messages)
	s.bytes.Store(t.Bytes)
}

func (s *sharedTraffic) get() Traffic {
	return Traffic{Messages: s.messages.Load(), Bytes: s.bytes.Load()}
}

// totals are the counts of a socket that its connections do not have.
type totals struct {
	handshakes, refused, full atomic.Uint64

	// received and sent are those of connections that have ended. Socket.mu guards them.
	received, sent Traffic
}

// Stats returns the current counts. What a connection received is at most one read old.
func (s *Socket) Stats() Stats {
	st := Stats{
		Handshakes: s.totals.handshakes.Load(), Refused: s.totals.refused.Load(), Full: s.totals.full.Load(),
		Handshaking: s.pending.count(),
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	st.Connections = len(s.conns)
	st.Received, st.Sent, st.Queued = s.totals.received, s.totals.sent, s.waiting.bytes
	for _, c := range s.conns {
		received, sent, queued := c.traffic()
		st.Received = st.Received.plus(received.minus(c.counted.received))
		st.Sent = st.Sent.plus(sent.minus(c.counted.sent))
		st.Queued += queued
	}
	return st
}

// traffic returns what the connection has received and sent, and the bytes in its queue.
func (c *Conn) traffic() (received, sent Traffic, queued int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.received.get(), c.out.sent, c.out.bytes
}

// addTotals adds the traffic of a connection that is ending to the socket's totals. The
// caller holds s.mu.
func (s *Socket) addTotals(c *Conn) {
	received, sent, _ := c.traffic()
	s.totals.received = s.totals.received.plus(received.minus(c.counted.received))
	s.totals.sent = s.totals.sent.plus(sent.minus(c.counted.sent))
	c.counted.received, c.counted.sent = received, sent
}
