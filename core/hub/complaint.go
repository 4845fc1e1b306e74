package hub

import "time"

// complaintInterval is the least time between two log lines of one kind about
// messages that anybody can send.
const complaintInterval = time.Minute

// complaintKey is a kind: the text, and where it was seen. Both are of those
// that this package names, so there are few.
type complaintKey struct{ text, where string }

// complaint counts messages of a kind.
type complaint struct {
	logged time.Time
	since  int
}

// complain logs what is wrong with a relayed message, with where it was seen as
// the fact that name names, and how many there were; rarely: whoever can
// connect to a queue, or holds the key, can send any number of them.
func (h *Hub) complain(text, name, where string, facts ...any) {
	key := complaintKey{text, where}
	c := h.complaints[key]
	if c == nil {
		c = &complaint{}
		h.complaints[key] = c
	}
	c.since++
	now := time.Now()
	if !c.logged.IsZero() && now.Sub(c.logged) < complaintInterval {
		return
	}
	h.log.Warn(text, append([]any{name, where, "messages", c.since}, facts...)...)
	*c = complaint{logged: now}
}

// unreadable is a message that is unsigned or malformed.
func (h *Hub) unreadable(topic Topic, err error) {
	h.refusals.Count(err)
	h.complain("relayed message not recorded", "topic", topicNames[topic], "error", err)
}
