package hub

import "github.com/ipcore/ipcore/core/controller/monitor"

// complaintKind is the text of a complaint, and where it was seen. Both are of those
// that this package names, so there are few.
type logKind struct{ text, where string }

// complain logs what is wrong with a relayed message, with where it was seen as
// the fact that name names, and how many there were; rarely: whoever can
// connect to a queue, or holds the key, can send any number of them.
func (h *Hub) logLimited(text, name, where string, facts ...any) {
	if n, ok := h.limitedLog.Log(logKind{text, where}); ok {
		h.log.Warn(text, append([]any{name, where, "messages", n}, facts...)...)
	}
}

// unreadable is a message that is unsigned or malformed.
func (h *Hub) refuseRelayed(topic monitor.Topic, err error) {
	h.refusals.Count(err)
	h.logLimited("relayed message not recorded", "topic", topic.String(), "error", err)
}

// broken logs an error of the database and counts it.
func (h *Hub) databaseFailed(message string, facts ...any) {
	h.stats.Errors++
	h.log.Error(message, facts...)
}
