package heartbeat

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// patience is how many beats a pending engine answers before it is announced
// although it has not connected everything. Engines of other makes may do
// without a channel.
const patience = 2

// text answers a ping: how long the monitor has lived, in seconds. Hearts echo
// it, so nothing needs to be remembered to know a pong.
func (m *Monitor) text() []byte {
	return strconv.AppendFloat(nil, time.Since(m.start).Seconds(), 'f', -1, 64)
}

// pong takes what a heart has sent back. It answers false for anything but a
// ping of the time in which it would have been lost.
func (m *Monitor) pong(uuid string, text []byte) bool {
	if len(text) > 32 {
		return false
	}
	sent, err := strconv.ParseFloat(string(text), 64)
	now := time.Since(m.start).Seconds()
	oldest := now - float64(m.o.MaxMisses+1)*m.o.Period.Seconds()
	if recent := sent <= now && sent >= oldest; err != nil || !recent {
		return false
	}
	m.change(uuid, func(h *heart) {
		h.beating, h.answered, h.misses = true, true, 0
	})
	return true
}

// loss is an engine that has gone, and why.
type loss struct{ uuid, cause string }

// beat counts the hearts that did not answer the last ping.
func (m *Monitor) beat() {
	var lost []loss
	var late []string
	m.mu.Lock()
	for uuid, h := range m.hearts {
		answered := h.answered
		h.answered = false
		switch {
		case h.state == pending && answered:
			if h.beats++; h.beats >= patience {
				m.log.Warn("engine is announced although it has not connected everything",
					"engine", uuid, "missing", strings.Join(m.missing(h), " "))
				h.announce()
				late = append(late, uuid)
			}
		case h.state == ready && !answered:
			if h.misses++; h.misses > m.o.MaxMisses {
				h.state = unknown
				lost = append(lost, loss{uuid, fmt.Sprintf("no heartbeat for %v", time.Duration(h.misses)*m.o.Period)})
			}
		}
	}
	m.mu.Unlock()
	for _, uuid := range late {
		m.o.Ready(uuid)
	}
	m.report(lost)
}

// bury reports the engines that have had no connection for too long, and when
// it wants to be called next.
func (m *Monitor) bury(now time.Time) (next time.Time, any bool) {
	var lost []loss
	m.mu.Lock()
	for len(m.lonely) > 0 {
		first := m.lonely[0]
		if next = first.since.Add(m.o.Grace); next.After(now) {
			any = true
			break
		}
		m.lonely = m.lonely[1:]
		if h := m.hearts[first.uuid]; h != nil && h.alone.Equal(first.since) {
			delete(m.hearts, first.uuid)
			lost = append(lost, loss{first.uuid, "connection lost"})
		}
	}
	m.mu.Unlock()
	m.report(lost)
	return next, any
}

func (m *Monitor) report(lost []loss) {
	for _, l := range lost {
		m.o.Lost(l.uuid, l.cause)
	}
}

func (h *heart) connected() bool {
	return h.conns != [channels]int{} || len(h.leaves) > 0
}

func (h *heart) announce() { h.state, h.answered, h.misses = ready, true, 0 }

// missing names what an engine lacks to be ready.
func (m *Monitor) missing(h *heart) (names []string) {
	for ch, n := range h.conns {
		if n == 0 {
			names = append(names, channelNames[ch])
		}
	}
	if m.o.Leaves > 0 && h.leaves[h.id%m.o.Leaves] == 0 {
		names = append(names, "broadcast")
	}
	if !h.beating {
		names = append(names, "heartbeat")
	}
	return names
}
