package hub

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ipcore/ipcore/core/controller/db"
	"github.com/ipcore/ipcore/core/controller/monitor"
	"github.com/ipcore/ipcore/core/wire"
)

// relayed handles a message of a relay, which has checked its signature.
func (h *Hub) relayed(r *relayedMessage) {
	m, err := wire.Parse(r.frames)
	if err != nil {
		h.refuseRelayed(r.topic, err)
		return
	}
	switch r.topic {
	case monitor.In, monitor.InTask, monitor.InBroadcast:
		id, err := wire.ViewID(m.Header)
		if err != nil {
			h.refuseRelayed(r.topic, err)
			return
		}
		h.recordRequest(id, nil, r, &m)
	case monitor.Out, monitor.OutTask, monitor.OutBroadcast:
		h.recordReply(nil, r, &m)
	case monitor.IOPub:
		header, err := wire.ViewHeader(m.Header)
		if err != nil {
			h.refuseRelayed(r.topic, err)
			return
		}
		h.recordOutput(&m, header)
	}
}

// taskSubmitted handles a request that the scheduler has read.
func (h *Hub) taskSubmitted(t *submittedTask) {
	m, err := wire.Parse(t.frames)
	if err != nil {
		h.refuseRelayed(monitor.InTask, err)
		return
	}
	h.recordRequest(t.ID, &t.Submission, &relayedMessage{topic: monitor.InTask, frames: t.frames}, &m)
}

// taskAnswered handles a reply that the scheduler has read.
func (h *Hub) taskAnswered(t *answeredTask) {
	m, err := wire.Parse(t.frames)
	if err != nil {
		h.refuseRelayed(monitor.OutTask, err)
		return
	}
	h.recordReply(&t.Answer, &relayedMessage{topic: monitor.OutTask, frames: t.frames}, &m)
}

// readSubmission reads the fields of a request that are recorded.
func readSubmission(m *wire.Message) (monitor.Submission, error) {
	header, err := wire.ViewHeader(m.Header)
	s := monitor.Submission{ID: header.MsgID, Session: header.Session, Date: header.Date}
	if metadata, err := wire.ViewMetadata(m.Metadata); err == nil {
		s.Label = metadata.Label
	}
	return s, err
}

// readParent returns the id of the request that a message belongs to; "" if there
// is none.
func (h *Hub) readParent(topic monitor.Topic, m *wire.Message) string {
	id, err := wire.ViewID(m.Parent)
	if err != nil {
		h.logLimited("reply with an unreadable parent", "topic", topic.String(), "error", err)
	}
	return id
}

// readAnswer reads the fields of a reply that are recorded. Without an ID the reply
// is not valid.
func (h *Hub) readAnswer(topic monitor.Topic, m *wire.Message) monitor.Answer {
	parent := h.readParent(topic, m)
	metadata, err := wire.ViewMetadata(m.Metadata)
	if err != nil {
		h.logLimited("reply with unreadable metadata", "topic", topic.String(), "msg_id", parent, "error", err)
	}
	return monitor.Answer{ID: parent, Status: metadata.Status, Engine: metadata.Engine, Started: metadata.Started}
}

// recordRequest records a request. s is nil if it has not been read yet.
func (h *Hub) recordRequest(id string, s *monitor.Submission, r *relayedMessage, m *wire.Message) {
	if id == "" {
		h.logLimited("request without a msg_id not recorded", "topic", r.topic.String())
		return
	}
	j := &job{id: strings.Clone(id), topic: r.topic}
	list := &h.unassigned
	if !j.task() {
		j.engine = h.engines.byUUID[string(r.engine)]
		if j.engine == nil || !j.engine.live {
			h.log.Error(fmt.Sprintf(textNoTarget, pyString(string(r.engine))), "msg_id", j.id)
			return
		}
		list = &j.engine.queue
	}
	earlier := h.jobs[j.id]
	if h.transient != nil && earlier == nil && !h.transient.Has(j.id) {
		h.deferred.add(j, r.frames)
	} else {
		h.build(earlier)
		if s == nil {
			read, err := readSubmission(m)
			if err != nil {
				h.refuseRelayed(r.topic, err)
				return
			}
			s = &read
		}
		if !h.addRecord(h.newRecord(j, m, *s)) || h.openJob(j.id) != nil {
			return
		}
	}
	h.addJob(j, list)
}

// openJob returns the request or task of an id if it has no reply, or nil.
func (h *Hub) openJob(id string) *job {
	if j := h.jobs[id]; j != nil && !j.ended {
		return j
	}
	return nil
}

// addJob adds a job to the index.
func (h *Hub) addJob(j *job, list *jobList) {
	h.jobs[j.id] = j
	h.unanswered++
	list.put(j)
}

// queueNames are the names of queues in records, by the topic of the request.
var queueNames = map[monitor.Topic]string{monitor.In: "mux", monitor.InTask: "task", monitor.InBroadcast: "broadcast"}

// newRecord returns the record of a request. Its strings are views of the bytes
// that it keeps, except for the id, which is kept for longer elsewhere. It is valid
// until the next call.
func (h *Hub) newRecord(j *job, m *wire.Message, s monitor.Submission) *db.Record {
	h.recordBuffer = db.Record{
		MsgID:      j.id,
		Header:     h.text(m.Header),
		Metadata:   h.text(m.Metadata),
		Content:    h.text(m.Content),
		Buffers:    copyList(m.Buffers),
		Submitted:  h.date(s.Date, "submitted", s.ID),
		ClientUUID: s.Session,
		Label:      s.Label,
		Queue:      queueNames[j.topic],
	}
	if j.engine != nil {
		h.recordBuffer.EngineUUID = &j.engine.uuid
	}
	return &h.recordBuffer
}

// newChange returns an empty change of some fields. It is valid until the next
// call.
func (h *Hub) newChange(set db.Fields) *db.Change {
	h.changeBuffer = db.Change{Set: set}
	return &h.changeBuffer
}

// text returns a packed part of a message as JSON text, as records keep it. A part
// that cannot be read becomes null.
func (h *Hub) text(part []byte) []byte {
	text, err := h.session.JSON(part)
	if err != nil {
		h.log.Debug("part of a message not recorded", "error", err)
		return []byte("null")
	}
	return text
}

// copyList copies a list of frames that belongs to a batch. The frames themselves
// are shared.
func copyList(frames [][]byte) [][]byte {
	if len(frames) == 0 {
		return nil
	}
	return append(make([][]byte, 0, len(frames)), frames...)
}

// date reads a date that a peer wrote. A date that cannot be read becomes the
// current time: a record without a time would be lost.
func (h *Hub) date(text, what, id string) time.Time {
	t, err := wire.ParseDate(text)
	if err != nil {
		if text != "" {
			h.logLimited("unreadable date, using the current time", "what", what, "msg_id", id, "error", err)
		}
		return time.Now()
	}
	return t
}

// outputFields are set by an engine's output, possibly before the request is seen.
var outputFields = db.FieldSet(db.ExecuteInput, db.ExecuteResult, db.ErrorField, db.Stdout, db.Stderr)

// addRecord adds a request's record, or completes the stub that output has created.
// It reports whether the task is now pending.
func (h *Hub) addRecord(r *db.Record) bool {
	err := h.db.Add(r)
	if err == nil {
		return true
	}
	if !errors.Is(err, db.ErrDuplicate) {
		h.databaseFailed("request not recorded", "msg_id", r.MsgID, "error", err)
		return true
	}
	old, err := h.db.Get(r.MsgID)
	if err != nil {
		h.databaseFailed("request not recorded", "msg_id", r.MsgID, "error", err)
		return true
	}
	if old.Stub() {
		set := db.AllFields &^ outputFields &^ db.FieldSet(db.MsgID)
		if err := h.db.Update(r.MsgID, &db.Change{Set: set, Record: *r}); err != nil {
			h.databaseFailed("request not recorded", "msg_id", r.MsgID, "error", err)
		}
		return true
	}
	if string(old.Header) != string(r.Header) { // otherwise it is a request that the hub resubmitted
		h.logLimited("another request with the same msg_id, keeping the first", "queue", r.Queue, "msg_id", r.MsgID)
	}
	return old.Completed.IsZero()
}

// recordAssignment moves a task to its engine.
func (h *Hub) recordAssignment(id, uuid string) {
	j := h.openJob(id)
	if j == nil || !j.task() {
		h.log.Debug("assignment of an unknown task ignored", "msg_id", id, "engine", uuid)
		return
	}
	e := h.engines.byUUID[uuid]
	if e == nil {
		h.log.Error("task assigned to an unknown engine", "msg_id", id, "engine", uuid)
		return
	}
	j.engine = e
	e.tasks.put(j)
	if j.deferred() {
		return
	}
	c := h.newChange(db.FieldSet(db.EngineUUID))
	c.EngineUUID = &e.uuid
	h.updateRecord(id, c)
}

// resultFields are set by a reply.
var resultFields = db.FieldSet(db.Started, db.Completed, db.Received, db.ResultHeader, db.ResultMetadata, db.ResultContent, db.ResultBuffers)

// recordReply completes a record, or replaces its earlier result. known is nil if
// the reply has not been read yet.
func (h *Hub) recordReply(known *monitor.Answer, r *relayedMessage, m *wire.Message) {
	var a monitor.Answer
	switch {
	case known != nil:
		a = *known
	case r.topic == monitor.OutTask:
		a = h.readAnswer(r.topic, m)
	default:
		a.ID = h.readParent(r.topic, m)
	}
	if a.ID == "" {
		h.logLimited("reply without a parent not recorded", "topic", r.topic.String())
		return
	}
	j := h.jobs[a.ID]
	engine := h.engines.byUUID[string(r.engine)]
	if r.topic == monitor.OutTask {
		engine = h.engines.byUUID[a.Engine]
	}
	if j != nil && !j.ended && engine != nil && (r.topic != monitor.OutTask || a.Status != "aborted") {
		engine.complete(j.id)
	}
	if j != nil && !j.ended && j.deferred() {
		h.deferReply(j, r.topic, r.frames)
		return
	}
	h.build(j)
	if j != nil && !j.ended {
		h.endJob(j)
	}
	if known == nil && r.topic != monitor.OutTask {
		a = h.readAnswer(r.topic, m)
	}
	h.updateRecord(a.ID, h.newResult(r.topic, m, a, time.Now()))
}

// newResult returns the change that a reply makes to its record. It is valid until
// the next call of newChange.
func (h *Hub) newResult(topic monitor.Topic, m *wire.Message, a monitor.Answer, received time.Time) *db.Change {
	header, err := wire.ViewHeader(m.Header)
	if err != nil {
		h.refuseRelayed(topic, err)
	}
	c := h.newChange(resultFields)
	c.Completed = h.date(header.Date, "completed", a.ID)
	c.Received = received
	c.ResultHeader, c.ResultMetadata, c.ResultContent = h.text(m.Header), h.text(m.Metadata), h.text(m.Content)
	c.ResultBuffers = copyList(m.Buffers)
	if a.Started != "" {
		c.Started = h.date(a.Started, "started", a.ID)
	}
	if topic == monitor.OutTask {
		c.Set |= db.FieldSet(db.EngineUUID)
		c.EngineUUID = engineName(h.engines.byUUID[a.Engine], a.Engine)
	}
	return c
}

// engineName returns the uuid of e, or a copy of uuid if e is nil.
func engineName(e *engine, uuid string) *string {
	if e != nil {
		return &e.uuid
	}
	uuid = strings.Clone(uuid)
	return &uuid
}

// endJob removes a job from the index. One whose record is deferred can still be
// found by its id.
func (h *Hub) endJob(j *job) {
	j.leave()
	j.ended = true
	h.unanswered--
	h.finished.Add(j.id)
	if !j.deferred() {
		delete(h.jobs, j.id)
	}
}

// updateRecord changes a record. The record may not exist: its request may be older
// than this controller, or the record was dropped or culled.
func (h *Hub) updateRecord(id string, c *db.Change) {
	err := h.db.Update(id, c)
	switch {
	case err == nil:
	case errors.Is(err, db.ErrUnknown), errors.Is(err, db.ErrCulled):
		h.log.Debug("message of an unknown request not recorded", "msg_id", id, "error", err)
	default:
		h.databaseFailed("record not updated", "msg_id", id, "error", err)
	}
}

// failPending ends the direct requests that a lost engine has not replied to. Its
// tasks are ended by the scheduler.
func (h *Hub) failPending(e *engine) {
	now := time.Now()
	for e.queue.first != nil {
		j := e.queue.first
		h.build(j)
		h.endJob(j)
		c := &db.Change{Set: resultFields &^ db.FieldSet(db.Started), Record: db.Record{Completed: now, Received: now}}
		var err error
		if c.ResultContent, err = pack(wire.NewRemoteError("EngineError", fmt.Sprintf("Engine %d died while running task %s", e.id, pyString(j.id)))); err == nil {
			c.ResultHeader, err = pack(map[string]string{"engine": e.uuid, "date": wire.FormatDate(now)})
		}
		if err == nil {
			c.ResultMetadata, err = pack(map[string]string{"engine": e.uuid, "status": "error"})
		}
		if err != nil {
			h.log.Error("failure of a lost engine's request not recorded", "msg_id", j.id, "error", err)
			continue
		}
		h.updateRecord(j.id, c)
	}
}
