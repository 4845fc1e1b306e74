package hub

import "github.com/ipcore/ipcore/core/controller/monitor"

// Log texts of IPython Parallel's hub. Tools look for them, so they stay as they are.
const (
	textListening    = "Hub listening on %s for registration."
	textBackend      = "Hub using DB backend: '%s'"
	textCreated      = "hub::created hub"
	textRequest      = "client::request"
	textNoTarget     = "queue::target %s not registered"
	textRegistered   = "registration::finished registering engine %d:%s"
	textUnregistered = "registration::unregister_engine(%d)"
	textStalled      = "registration::purging stalled registration"
)

// logKind is a log text and where the logged message was seen. Both are among those
// that this package names, so there are few kinds.
type logKind struct{ text, where string }

// logLimited logs what is wrong with a relayed message: text, the attribute name
// with the value where, how many messages there were, and facts. It does so rarely
// for each kind, because anyone who can connect to a relay, or holds the key, can
// send any number of such messages.
func (h *Hub) logLimited(text, name, where string, facts ...any) {
	if n, ok := h.limitedLog.Log(logKind{text, where}); ok {
		h.log.Warn(text, append([]any{name, where, "messages", n}, facts...)...)
	}
}

// refuseRelayed counts and logs a message that is unsigned or malformed.
func (h *Hub) refuseRelayed(topic monitor.Topic, err error) {
	h.refusals.Count(err)
	h.logLimited("relayed message not recorded", "topic", topic.String(), "error", err)
}

// databaseFailed counts and logs an error of the database.
func (h *Hub) databaseFailed(message string, facts ...any) {
	h.stats.Errors++
	h.log.Error(message, facts...)
}
