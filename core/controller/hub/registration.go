package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ipcore/ipcore/core/wire"
)

// registration is an accepted engine that cannot be reached yet.
type registration struct {
	id         int
	uuid       string
	expires    time.Time
	ready      bool
	announceBy time.Time // once ready: until when it waits for lower ids
	passed     bool      // a higher id was announced, so nobody waits for this one any more
}

// registrations are the registrations in progress.
type registrations struct {
	byUUID map[string]*registration
	byID   []*registration // in the order of ids
}

func (p *registrations) add(r *registration) {
	p.byUUID[r.uuid] = r
	i, _ := p.find(r.id)
	p.byID = slices.Insert(p.byID, i, r)
}

func (p *registrations) remove(r *registration) {
	delete(p.byUUID, r.uuid)
	if i, ok := p.find(r.id); ok {
		p.byID = slices.Delete(p.byID, i, i+1)
	}
}

func (p *registrations) find(id int) (int, bool) {
	return slices.BinarySearchFunc(p.byID, id, func(r *registration, id int) int { return r.id - id })
}

// get returns the registration of an id, or nil.
func (p *registrations) get(id int) *registration {
	if i, ok := p.find(id); ok {
		return p.byID[i]
	}
	return nil
}

// maxUUID is the length in bytes of the longest identity in ZeroMQ.
const maxUUID = 255

// register handles a registration_request. Its reply has no parent header.
func (h *Hub) register(r *request) error {
	var content struct {
		UUID string          `json:"uuid"`
		ID   json.RawMessage `json:"id"`
	}
	err := h.session.Unpack(r.msg.Content, &content)
	if err != nil || content.UUID == "" {
		h.log.Error("registration without a uuid ignored", "address", r.address, "error", err)
		return nil
	}
	id := h.assignID(content.ID, content.UUID)
	if err := h.checkUUID(content.UUID); err != nil {
		h.log.Error("registration refused", "uuid", content.UUID, "address", r.address, "error", err)
		return h.send(r.peer, "registration_reply", nil, remoteError(err))
	}
	h.pending.add(&registration{id: id, uuid: content.UUID, expires: time.Now().Add(h.o.RegistrationTimeout)})
	h.log.Debug("registration::accepted", "id", id, "uuid", content.UUID, "address", r.address)
	h.o.Pending(id, content.UUID)
	return h.send(r.peer, "registration_reply", nil, struct {
		ID             int             `json:"id"`
		Status         string          `json:"status"`
		HBPeriod       int64           `json:"hb_period"`
		ConnectionInfo json.RawMessage `json:"connection_info"`
	}{id, "ok", h.o.HeartbeatPeriod.Milliseconds(), h.o.ConnectionInfo})
}

func (h *Hub) checkUUID(uuid string) error {
	if h.engines.registered(uuid) != nil || h.pending.byUUID[uuid] != nil {
		return keyError(fmt.Sprintf("uuid %s in use", pyString(uuid)))
	}
	if len(uuid) > maxUUID || uuid[0] == 0 {
		return wire.NewRemoteError("ValueError", "a uuid has 1 to 255 bytes, the first of them not zero")
	}
	return nil
}

// assignID returns the id that was asked for if it has never been used, otherwise
// the next one. A refused registration uses an id up as well.
func (h *Hub) assignID(wanted json.RawMessage, uuid string) int {
	id := h.engines.next
	if len(wanted) > 0 && string(wanted) != "null" {
		var n int
		if err := json.Unmarshal(wanted, &n); err == nil && h.idIsFree(n) {
			id = n
		} else {
			h.log.Warn("requested engine id is not free", "requested", string(wanted), "id", id, "uuid", uuid)
		}
	}
	h.engines.next = max(h.engines.next, id+1)
	h.markStateChanged()
	return id
}

func (h *Hub) idIsFree(id int) bool {
	return id >= 0 && id <= maxID && h.engines.get(id) == nil && h.pending.get(id) == nil
}

// engineReady marks a registering engine as reachable.
func (h *Hub) engineReady(uuid string) {
	r := h.pending.byUUID[uuid]
	if r == nil || r.ready {
		return
	}
	r.ready = true
	r.announceBy = time.Now().Add(h.o.AnnounceHold)
}

// announce registers the engines that are ready, lower ids first, and notifies
// everybody once the engine table on disk includes them. An engine waits a moment
// for lower ids that are not ready yet.
func (h *Hub) announce(now time.Time) {
	last := -1 // the highest id that waits no longer: all ready ones below it are announced with it
	for _, r := range h.pending.byID {
		if r.ready && !r.announceBy.After(now) {
			last = r.id
		}
	}
	var entered []*registration
	for _, r := range h.pending.byID {
		switch {
		case r.ready:
			entered = append(entered, r)
		case r.id < last:
			r.passed = true
		}
		if !r.ready && !r.passed {
			break // later ids wait for this one
		}
	}
	if len(entered) == 0 {
		return
	}
	for _, r := range entered {
		h.addEngine(r)
	}
	h.saveStateAndWait()
	for _, r := range entered {
		h.log.Info(fmt.Sprintf(textRegistered, r.id, r.uuid))
		h.o.Registered(r.id, r.uuid)
		h.notifyEngine("registration_notification", r.id, r.uuid)
	}
}

// addEngine moves a registration into the engine table.
func (h *Hub) addEngine(r *registration) {
	h.pending.remove(r)
	h.engines.add(r.id, r.uuid)
	h.stats.Engines++
	h.stats.Registered++
}

// expireRegistrations abandons registrations that took too long.
func (h *Hub) expireRegistrations(now time.Time) {
	var late []*registration
	for _, r := range h.pending.byID {
		if !r.ready && !now.Before(r.expires) {
			late = append(late, r)
		}
	}
	for _, r := range late {
		h.abandon(r, fmt.Sprintf("not reachable within %v of its registration", h.o.RegistrationTimeout))
	}
}

func (h *Hub) abandon(r *registration, cause string) {
	h.pending.remove(r)
	h.stats.Abandoned++
	h.log.Warn(textStalled, "id", r.id, "uuid", r.uuid, "cause", cause)
	h.o.Abandoned(r.id, r.uuid, cause)
}

// nextDeadline returns how long the hub may sleep if no event comes.
func (h *Hub) nextDeadline(now time.Time) time.Duration {
	next := now.Add(time.Hour)
	for _, r := range h.pending.byID {
		due := r.expires
		if r.ready {
			due = r.announceBy
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

// unregister handles an unregistration_request, which has no reply. An engine that
// gives up its registration does not know its id; it is found by its identity.
func (h *Hub) unregister(r *request) error {
	var content struct {
		ID json.RawMessage `json:"id"`
	}
	if err := h.session.Unpack(r.msg.Content, &content); err != nil {
		h.log.Error("unreadable unregistration request ignored", "address", r.address, "error", err)
		return nil
	}
	const cause = causeUnregistered
	var id int
	if len(content.ID) == 0 || string(content.ID) == "null" || json.Unmarshal(content.ID, &id) != nil {
		if p := h.pending.byUUID[string(r.peer)]; p != nil {
			h.abandon(p, cause)
		} else {
			h.log.Warn("unregistration without an engine id ignored", "address", r.address)
		}
		return nil
	}
	if e := h.engines.get(id); e != nil {
		h.removeEngine(e, cause)
		return nil
	}
	if p := h.pending.get(id); p != nil {
		h.abandon(p, cause)
		return nil
	}
	h.log.Debug("unregistration of an unknown engine ignored", "id", id, "address", r.address)
	return nil
}

// engineLost handles the loss of an engine.
func (h *Hub) engineLost(uuid, cause string) {
	if p := h.pending.byUUID[uuid]; p != nil {
		h.abandon(p, cause)
	} else if e := h.engines.registered(uuid); e != nil {
		h.removeEngine(e, cause)
	}
}

// Causes that are not losses.
const (
	causeUnregistered = "it unregistered"
	causeShutDown     = "it shut down"
)

func leftVoluntarily(cause string) bool { return cause == causeUnregistered || cause == causeShutDown }

// removeEngine takes an engine out of the table and notifies everybody. Removing it
// again does nothing.
func (h *Hub) removeEngine(e *engine, cause string) {
	if !e.live {
		return
	}
	e.live = false
	h.stats.Engines--
	if leftVoluntarily(cause) {
		h.stats.Left++
	} else {
		h.stats.Lost++
	}
	h.markStateChanged()
	h.log.Info(fmt.Sprintf(textUnregistered, e.id), "uuid", e.uuid, "cause", cause)
	h.o.Unregistered(e.id, e.uuid, cause)
	h.notifyEngine("unregistration_notification", e.id, e.uuid)
	h.failPending(e)
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

// remoteError returns err as the content of a reply.
func remoteError(err error) *wire.RemoteError {
	if remote, ok := errors.AsType[*wire.RemoteError](err); ok {
		return remote
	}
	return wire.NewRemoteError("RuntimeError", err.Error())
}
