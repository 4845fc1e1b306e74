package hub

import (
	"errors"
	"strings"

	"github.com/ipcore/ipcore/core/controller/db"
	"github.com/ipcore/ipcore/core/controller/monitor"
	"github.com/ipcore/ipcore/core/wire"
)

// recordOutput stores what an engine publishes about a request. Output may come
// before its request, or without one as that of broadcasts does; then it creates a
// stub.
func (h *Hub) recordOutput(m *wire.Message, header wire.Header) {
	switch header.MsgType {
	case "status":
		return
	case "shutdown_reply":
		h.engineLost(header.Session, causeShutDown)
		return
	}
	parent, err := wire.ViewHeader(m.Parent)
	if err != nil {
		h.logLimited("output not recorded", "topic", monitor.IOPub.String(), "type", header.MsgType, "error", err)
		return
	}
	if parent.MsgID == "" { // not printed by a request
		return
	}
	c, err := h.outputChange(m, header.MsgType)
	if err != nil {
		h.logLimited("output not recorded", "topic", monitor.IOPub.String(), "type", header.MsgType, "msg_id", parent.MsgID, "error", err)
		return
	}
	if c == nil {
		return
	}
	h.build(h.jobs[parent.MsgID])
	err = h.db.Update(parent.MsgID, c)
	if errors.Is(err, db.ErrUnknown) {
		r := &db.Record{MsgID: strings.Clone(parent.MsgID)}
		c.Apply(r)
		err = h.db.Add(r)
	}
	if err != nil && !errors.Is(err, db.ErrCulled) {
		h.databaseFailed("output not recorded", "type", header.MsgType, "msg_id", parent.MsgID, "error", err)
	}
}

// outputChange returns what a message changes in the record; nil for types that
// records do not keep.
func (h *Hub) outputChange(m *wire.Message, msgType string) (*db.Change, error) {
	c := &db.Change{}
	switch msgType {
	case "stream":
		content, err := wire.ViewStream(m.Content)
		if err != nil {
			return nil, err
		}
		if content.Name == "stderr" {
			c.Set, c.Stderr = db.FieldSet(db.Stderr), []byte(content.Text)
		} else {
			c.Set, c.Stdout = db.FieldSet(db.Stdout), []byte(content.Text)
		}
	case "execute_input":
		var content struct{ Code string }
		if err := h.session.Unpack(m.Content, &content); err != nil {
			return nil, err
		}
		c.Set, c.ExecuteInput = db.FieldSet(db.ExecuteInput), &content.Code
	case "execute_result":
		c.Set, c.ExecuteResult = db.FieldSet(db.ExecuteResult), h.text(m.Content)
	case "error":
		c.Set, c.Error = db.FieldSet(db.ErrorField), h.text(m.Content)
	default:
		return nil, nil
	}
	return c, nil
}
