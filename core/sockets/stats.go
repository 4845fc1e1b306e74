package sockets

import "sync/atomic"

// Stats are what a socket has done and what it holds.
type Stats struct {
	Connections int    // that are there
	Handshaking int    // accepted peers in their handshake
	Handshakes  uint64 // that succeeded
	Refused     uint64 // connections ended for what the peer did, or failed to do
	Received    Traffic
	Sent        Traffic // queued for peers, and written unless they left before
	Full        uint64  // messages not queued because their peer does not read
	Queued      int64   // bytes that wait to be written
}

// Traffic is a number of messages and the bytes of their frames.
type Traffic struct{ Messages, Bytes uint64 }

// Plus answers the sum of s and o.
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

// seen is the Traffic of one goroutine for others to see. The two numbers
// may be of slightly different moments.
type sharedTraffic struct{ messages, bytes atomic.Uint64 }

func (s *sharedTraffic) set(t Traffic) {
	s.messages.Store(t.Messages)
	s.bytes.Store(t.Bytes)
}

func (s *sharedTraffic) get() Traffic {
	return Traffic{Messages: s.messages.Load(), Bytes: s.bytes.Load()}
}

// totals are the numbers of a socket that its connections don't keep.
type totals struct {
	handshakes, refused, full atomic.Uint64

	// Of connections that have ended. Socket.mu guards them.
	received, sent Traffic
}

// Stats answers the numbers of now. A reader's part is at most one read old.
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

// traffic answers what has passed and the bytes that wait.
func (c *Conn) traffic() (received, sent Traffic, queued int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.received.get(), c.out.sent, c.out.bytes
}

// takeOver adds the traffic of a connection that is going to the socket's. The
// caller holds s.mu.
func (s *Socket) addTotals(c *Conn) {
	received, sent, _ := c.traffic()
	s.totals.received = s.totals.received.plus(received.minus(c.counted.received))
	s.totals.sent = s.totals.sent.plus(sent.minus(c.counted.sent))
	c.counted.received, c.counted.sent = received, sent
}

// count answers how many handshakes are in progress.
func (h *handshakes) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.list.Len()
}
