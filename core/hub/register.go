package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ipcore/ipcore/core/wire"
)

// registration is an accepted engine that can't be reached yet.
type registration struct {
	id      int
	uuid    string
	expires time.Time
	ready   bool
	held    time.Time // when ready: until when lower ids are waited for
	passed  bool      // a higher id was announced; nobody waits for this one
}

// maxUUID is the longest identity that ZeroMQ has.
const maxUUID = 255

// register answers a registration_request. Its reply has no parent header.
func (h *Hub) register(r *request) error {
	var content struct {
		UUID string          `json:"uuid"`
		ID   json.RawMessage `json:"id"`
	}
	err := h.session.Unpack(r.msg.Content, &content)
	if err != nil || content.UUID == "" {
		h.log.Error("registration without a uuid ignored", "address", r.remote, "error", err)
		return nil
	}
	id := h.allot(content.ID, content.UUID)
	if err := h.checkUUID(content.UUID); err != nil {
		h.log.Error("registration refused", "uuid", content.UUID, "address", r.remote, "error", err)
		return h.send(r.peer, "registration_reply", nil, remoteError(err))
	}
	h.pending[content.UUID] = &registration{id: id, uuid: content.UUID, expires: time.Now().Add(h.o.RegistrationTimeout)}
	h.log.Debug("registration::accepted", "id", id, "uuid", content.UUID, "address", r.remote)
	h.o.Pending(id, content.UUID)
	return h.send(r.peer, "registration_reply", nil, struct {
		ID             int             `json:"id"`
		Status         string          `json:"status"`
		HBPeriod       int64           `json:"hb_period"`
		ConnectionInfo json.RawMessage `json:"connection_info"`
	}{id, "ok", h.o.HeartbeatPeriod.Milliseconds(), h.o.ConnectionInfo})
}

func (h *Hub) checkUUID(uuid string) error {
	if h.engines.registered(uuid) != nil || h.pending[uuid] != nil {
		return keyError(fmt.Sprintf("uuid %s in use", pyString(uuid)))
	}
	if len(uuid) > maxUUID || uuid[0] == 0 {
		return wire.NewRemoteError("ValueError", "a uuid has 1 to 255 bytes, the first of them not zero")
	}
	return nil
}

// allot answers the id that was asked for when it has never been used, else the
// next one. A refused registration uses an id up as well.
func (h *Hub) allot(wanted json.RawMessage, uuid string) int {
	id := h.engines.next
	if len(wanted) > 0 && string(wanted) != "null" {
		var n int
		if err := json.Unmarshal(wanted, &n); err == nil && h.free(n) {
			id = n
		} else {
			h.log.Warn("requested engine id is not free", "requested", string(wanted), "id", id, "uuid", uuid)
		}
	}
	h.engines.next = max(h.engines.next, id+1)
	h.changeState()
	return id
}

func (h *Hub) free(id int) bool {
	if id < 0 || id > maxID || h.engines.byID[id] != nil {
		return false
	}
	for _, r := range h.pending {
		if r.id == id {
			return false
		}
	}
	return true
}

// ready notes that a registering engine can be reached.
func (h *Hub) ready(uuid string) {
	r := h.pending[uuid]
	if r == nil || r.ready {
		return
	}
	r.ready = true
	r.held = time.Now().Add(h.o.AnnounceHold)
}

// announce registers the engines that are ready, lower ids first, and tells
// everybody when the engine table on disk names them. An engine waits a moment
// for lower ids that are still on their way.
func (h *Hub) announce(now time.Time) {
	if len(h.pending) == 0 {
		return
	}
	var ready []*registration
	for _, r := range h.pending {
		if r.ready {
			ready = append(ready, r)
		}
	}
	slices.SortFunc(ready, func(a, b *registration) int { return a.id - b.id })
	due := func(r *registration) bool { return !r.held.After(now) }
	n := 0
	for ; n < len(ready) && (!h.waits(ready[n]) || slices.ContainsFunc(ready[n:], due)); n++ {
		h.enter(ready[n])
	}
	if n == 0 {
		return
	}
	h.keepState()
	for _, r := range ready[:n] {
		h.log.Info(fmt.Sprintf("registration::finished registering engine %d:%s", r.id, r.uuid))
		h.o.Registered(r.id, r.uuid)
		h.notifyEngine("registration_notification", r.id, r.uuid)
	}
}

// waits tells whether an engine with a lower id is still on its way.
func (h *Hub) waits(r *registration) bool {
	for _, other := range h.pending {
		if other.id < r.id && !other.ready && !other.passed {
			return true
		}
	}
	return false
}

// enter moves a registration into the table.
func (h *Hub) enter(r *registration) {
	delete(h.pending, r.uuid)
	for _, other := range h.pending {
		if other.id < r.id {
			other.passed = true
		}
	}
	h.engines.add(r.id, r.uuid)
	h.stats.Engines++
	h.stats.Registered++
}

// expire gives up registrations that took too long.
func (h *Hub) expire(now time.Time) {
	for _, r := range h.pending {
		if !r.ready && !now.Before(r.expires) {
			h.abandon(r, fmt.Sprintf("not reachable within %v of its registration", h.o.RegistrationTimeout))
		}
	}
}

func (h *Hub) abandon(r *registration, cause string) {
	delete(h.pending, r.uuid)
	h.stats.Abandoned++
	h.log.Warn("registration::purging stalled registration", "id", r.id, "uuid", r.uuid, "cause", cause)
	h.o.Abandoned(r.id, r.uuid, cause)
}

// nextDeadline is how long nothing needs to be done without an event.
func (h *Hub) nextDeadline(now time.Time) time.Duration {
	next := now.Add(time.Hour)
	for _, r := range h.pending {
		due := r.expires
		if r.ready {
			due = r.held
		}
		if due.Before(next) {
			next = due
		}
	}
	if due, any := h.stateDue(); any && due.Before(next) {
		next = due
	}
	return max(0, next.Sub(now))
}

// unregister answers an unregistration_request, which has no reply. An engine
// that gives up its registration does not know its id: it is known by its
// identity.
func (h *Hub) unregister(r *request) error {
	var content struct {
		ID json.RawMessage `json:"id"`
	}
	if err := h.session.Unpack(r.msg.Content, &content); err != nil {
		h.log.Error("unregistration request not understood", "address", r.remote, "error", err)
		return nil
	}
	const cause = causeUnregistered
	var id int
	if len(content.ID) == 0 || string(content.ID) == "null" || json.Unmarshal(content.ID, &id) != nil {
		if p := h.pending[string(r.peer)]; p != nil {
			h.abandon(p, cause)
		} else {
			h.log.Warn("unregistration without an engine id ignored", "address", r.remote)
		}
		return nil
	}
	if e := h.engines.byID[id]; e != nil {
		h.remove(e, cause)
		return nil
	}
	for _, p := range h.pending {
		if p.id == id {
			h.abandon(p, cause)
			return nil
		}
	}
	h.log.Debug("unregistration of an unknown engine ignored", "id", id, "address", r.remote)
	return nil
}

// lost handles the loss of an engine by its uuid.
func (h *Hub) lost(uuid, cause string) {
	if p := h.pending[uuid]; p != nil {
		h.abandon(p, cause)
	} else if e := h.engines.registered(uuid); e != nil {
		h.remove(e, cause)
	}
}

// Causes that are no losses.
const (
	causeUnregistered = "it unregistered"
	causeShutDown     = "it shut down"
)

func leftItself(cause string) bool { return cause == causeUnregistered || cause == causeShutDown }

// remove takes an engine out of the table and tells everybody. Removing it
// again does nothing.
func (h *Hub) remove(e *engine, cause string) {
	if !e.live {
		return
	}
	e.live = false
	h.stats.Engines--
	if leftItself(cause) {
		h.stats.Left++
	} else {
		h.stats.Lost++
	}
	h.changeState()
	h.log.Info(fmt.Sprintf("registration::unregister_engine(%d)", e.id), "uuid", e.uuid, "cause", cause)
	h.o.Unregistered(e.id, e.uuid, cause)
	h.notifyEngine("unregistration_notification", e.id, e.uuid)
	h.strand(e)
}

func (h *Hub) notifyEngine(msgType string, id int, uuid string) {
	h.notify(msgType, nil, struct {
		ID   int    `json:"id"`
		UUID string `json:"uuid"`
	}{id, uuid})
}

// notify publishes a message to clients.
func (h *Hub) notify(msgType string, parent []byte, content any) {
	m, err := h.session.Message(msgType, parent, nil, content)
	if err != nil {
		h.log.Error("notification not sent", "type", msgType, "error", err)
		return
	}
	h.o.Notify(m.AppendFrames(nil))
}

// remoteError answers err as the content of a reply.
func remoteError(err error) *wire.RemoteError {
	if remote, ok := errors.AsType[*wire.RemoteError](err); ok {
		return remote
	}
	return wire.NewRemoteError("RuntimeError", err.Error())
}
