package heartbeat

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// announceAfter is the number of beats that a pending engine must answer to be
// announced although some of its channels are not connected. Other implementations
// of engines may not use all channels.
const announceAfter = 2

// ping returns the text of a ping: how long the monitor has existed, in seconds.
// Hearts echo it, so pongs can be checked without remembering pings.
func (m *Monitor) ping() []byte {
	return strconv.AppendFloat(nil, time.Since(m.start).Seconds(), 'f', -1, 64)
}

// acceptPong records the text that a heart has sent back. It returns false unless
// the text is a ping recent enough that its engine would not have been lost since.
func (m *Monitor) acceptPong(uuid string, text []byte) bool {
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

// loss is an engine that was lost, and why.
type loss struct{ uuid, cause string }

// beat counts, for each heart, the beats that it has answered or missed, and reports
// engines that are lost or announced because of that.
func (m *Monitor) beat() {
	var lost []loss
	var incomplete []string
	m.mu.Lock()
	for uuid, h := range m.hearts {
		answered := h.answered
		h.answered = false
		switch {
		case h.state == pending && answered:
			if h.beats++; h.beats >= announceAfter {
				m.log.Warn("engine is announced although not all of its channels are connected",
					"engine", uuid, "missing", strings.Join(m.missing(h), " "))
				h.announce()
				incomplete = append(incomplete, uuid)
			}
		case h.state == ready && !answered:
			if h.misses++; h.misses > m.o.MaxMisses {
				h.state = unknown
				lost = append(lost, loss{uuid, fmt.Sprintf("no heartbeat for %v", time.Duration(h.misses)*m.o.Period)})
			}
		}
	}
	m.mu.Unlock()
	for _, uuid := range incomplete {
		m.o.Ready(uuid)
	}
	m.reportLost(lost)
}

// reapDisconnected reports as lost the engines that have had no connection for
// Grace. It returns when it must be called next, if any engine is left to wait for.
func (m *Monitor) reapDisconnected(now time.Time) (next time.Time, any bool) {
	var lost []loss
	m.mu.Lock()
	for len(m.disconnected) > 0 {
		first := m.disconnected[0]
		if next = first.since.Add(m.o.Grace); next.After(now) {
			any = true
			break
		}
		m.disconnected = m.disconnected[1:]
		if h := m.hearts[first.uuid]; h != nil && h.disconnectedAt.Equal(first.since) {
			delete(m.hearts, first.uuid)
			lost = append(lost, loss{first.uuid, "connection lost"})
		}
	}
	m.mu.Unlock()
	m.reportLost(lost)
	return next, any
}

func (m *Monitor) reportLost(lost []loss) {
	for _, l := range lost {
		m.o.Lost(l.uuid, l.cause)
	}
}

func (h *heart) connected() bool {
	return h.conns != [channels]int{} || len(h.leaves) > 0
}

func (h *heart) announce() { h.state, h.answered, h.misses = ready, true, 0 }

// missing returns the names of what an engine still needs to be ready.
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
