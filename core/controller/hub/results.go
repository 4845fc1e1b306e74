package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ipcore/ipcore/core/controller/db"
	"github.com/ipcore/ipcore/core/controller/monitor"
	"github.com/ipcore/ipcore/core/wire"
)

// results handles a result_request.
func (h *Hub) results(r *request) error {
	var content struct {
		MsgIDs     *idList `json:"msg_ids"`
		StatusOnly bool    `json:"status_only"`
	}
	if err := h.unpack(r, &content); err != nil {
		return err
	}
	if content.MsgIDs == nil {
		return keyError("msg_ids")
	}
	ids := slices.Clone(content.MsgIDs.list)
	slices.Sort(ids)
	ids = slices.Compact(ids)

	pending, completed := []string{}, []string{}
	for _, id := range ids {
		ended, err := h.ended(id, content.StatusOnly)
		if err != nil {
			return h.answer(r, "result_reply", nil, err)
		}
		if ended {
			completed = append(completed, id)
		} else {
			pending = append(pending, id)
		}
	}
	o := newObject()
	o.put("pending", pending)
	o.put("completed", completed)
	if content.StatusOnly {
		return h.answerObject(r, "result_reply", o)
	}
	var buffers [][]byte
	for _, id := range completed {
		record, err := h.getRecord(id)
		if err != nil {
			return h.answer(r, "result_reply", nil, err)
		}
		o.key(id)
		appendResult(o, record)
		buffers = append(buffers, record.ResultBuffers...)
	}
	return h.answerObject(r, "result_reply", o, buffers...)
}

// ended reports whether a task has ended. The hub's index knows the tasks of this
// controller, the database those before it.
func (h *Hub) ended(id string, statusOnly bool) (bool, error) {
	if j := h.jobs[id]; j != nil {
		return j.ended, nil
	}
	if statusOnly && h.finished.Has(id) {
		return true, nil
	}
	record, err := h.db.Get(id)
	if errors.Is(err, db.ErrUnknown) || err == nil && record.Stub() {
		return false, keyError("No such message: " + id)
	}
	if err != nil {
		return false, err
	}
	return !record.Completed.IsZero(), nil
}

// resultParts are the fields of a result; outputParts those of its "io" entry.
var (
	resultParts = []db.Field{db.Header, db.Metadata, db.ResultMetadata, db.ResultHeader, db.ResultContent, db.Received}
	outputParts = []db.Field{db.ExecuteInput, db.ExecuteResult, db.ErrorField, db.Stdout, db.Stderr}
)

func appendResult(o *object, r *db.Record) {
	o.text.WriteByte('{')
	for _, f := range resultParts {
		appendField(o, r, f)
		o.text.WriteString(", ")
	}
	o.text.WriteString(`"io": {`)
	for i, f := range outputParts {
		if i > 0 {
			o.text.WriteString(", ")
		}
		appendField(o, r, f)
	}
	o.text.WriteString("}}")
}

func appendField(o *object, r *db.Record, f db.Field) {
	o.text.WriteByte('"')
	o.text.WriteString(f.Name())
	o.text.WriteString(`": `)
	o.text.Write(r.AppendJSON(o.text.AvailableBuffer(), f))
}

// query handles a db_request.
func (h *Hub) query(r *request) error {
	var content struct {
		Query json.RawMessage `json:"query"`
		Keys  []string        `json:"keys"`
	}
	if err := h.unpack(r, &content); err != nil {
		return h.answer(r, "db_reply", nil, err)
	}
	if len(content.Query) == 0 || string(content.Query) == "null" {
		content.Query = json.RawMessage("{}")
	}
	var records []*db.Record
	keys, err := db.ParseKeys(content.Keys)
	if err == nil {
		var q db.Query
		if q, err = db.ParseQuery(content.Query); err == nil {
			h.buildAll()
			records, err = h.db.Find(q, keys)
		}
	}
	if err != nil {
		return h.answer(r, "db_reply", nil, err)
	}
	o := newObject()
	buffers := appendRecords(o, records, keys)
	return h.answerObject(r, "db_reply", o, buffers...)
}

// appendRecords writes records and the lengths of their lists of buffers. It
// returns the buffers: for each record its own, then those of its result.
func appendRecords(o *object, records []*db.Record, keys db.Fields) (buffers [][]byte) {
	o.key("records")
	o.text.WriteByte('[')
	for i, r := range records {
		if i > 0 {
			o.text.WriteString(", ")
		}
		o.text.WriteByte('{')
		first := true
		for _, f := range keys.List() {
			if f.Kind() == db.Blob {
				continue
			}
			if !first {
				o.text.WriteString(", ")
			}
			first = false
			appendField(o, r, f)
		}
		o.text.WriteByte('}')
	}
	o.text.WriteByte(']')
	var lens, resultLens []int
	for _, r := range records {
		if keys.Has(db.Buffers) {
			lens = append(lens, len(r.Buffers))
			buffers = append(buffers, r.Buffers...)
		}
		if keys.Has(db.ResultBuffers) {
			resultLens = append(resultLens, len(r.ResultBuffers))
			buffers = append(buffers, r.ResultBuffers...)
		}
	}
	o.put("buffer_lens", orEmpty(lens, keys.Has(db.Buffers)))
	o.put("result_buffer_lens", orEmpty(resultLens, keys.Has(db.ResultBuffers)))
	return buffers
}

// orEmpty returns an empty list instead of null if lengths were asked for.
func orEmpty(lens []int, asked bool) []int {
	if asked && lens == nil {
		return []int{}
	}
	return lens
}

// idList is a list of msg_ids, one msg_id, or the word "all".
type idList struct {
	list []string
	all  bool
}

// UnmarshalJSON reads any of the three forms.
func (l *idList) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		l.all = one == "all"
		l.list = []string{one}
		return nil
	}
	return json.Unmarshal(text, &l.list)
}

// purge handles a purge_request. Nothing is dropped if any part of it is not valid.
func (h *Hub) purge(r *request) error {
	var content struct {
		MsgIDs    idList `json:"msg_ids"`
		EngineIDs []int  `json:"engine_ids"`
	}
	if err := h.unpack(r, &content); err != nil {
		return h.answer(r, "purge_reply", nil, err)
	}
	h.buildAll()
	queries, err := h.purgeQueries(content.MsgIDs, content.EngineIDs)
	for _, q := range queries {
		if err == nil {
			_, err = h.db.DropMatching(q)
		}
	}
	return h.answer(r, "purge_reply", statusOK, err)
}

var isCompleted = db.Must("completed", db.Ne, nil)

func (h *Hub) purgeQueries(ids idList, engines []int) ([]db.Query, error) {
	if ids.all {
		return []db.Query{{isCompleted}}, nil
	}
	var queries []db.Query
	if len(ids.list) > 0 {
		wanted := make([]any, len(ids.list))
		for i, id := range ids.list {
			if h.jobs[id] != nil {
				return nil, wire.NewRemoteError("IndexError", "msg pending: "+pyString(id))
			}
			wanted[i] = id
		}
		named, err := db.NewCondition("msg_id", db.In, wanted)
		if err != nil {
			return nil, err
		}
		queries = append(queries, db.Query{named})
	}
	for _, id := range engines {
		e := h.engines.get(id)
		if e == nil {
			return nil, wire.NewRemoteError("IndexError", fmt.Sprintf("No such engine: %d", id))
		}
		of, err := db.NewCondition("engine_uuid", db.Eq, e.uuid)
		if err != nil {
			return nil, err
		}
		queries = append(queries, db.Query{isCompleted, of})
	}
	return queries, nil
}

// resubmit handles a resubmit_request: tasks are sent again with new ids, with
// their header, content and buffers and without metadata.
func (h *Hub) resubmit(r *request) error {
	var content struct {
		MsgIDs *idList `json:"msg_ids"`
	}
	if err := h.unpack(r, &content); err != nil {
		return err
	}
	if content.MsgIDs == nil {
		return keyError("msg_ids")
	}
	records, err := h.getRecords(content.MsgIDs.list)
	if err != nil {
		return h.answer(r, "resubmit_reply", nil, err)
	}
	renamed := make(map[string]string)
	for _, old := range records {
		id := old.MsgID
		if renamed[id], err = h.resend(old); err != nil {
			return h.answer(r, "resubmit_reply", nil, fmt.Errorf("resubmit %s: %w", id, err))
		}
	}
	return h.answer(r, "resubmit_reply", struct {
		Status      string            `json:"status"`
		Resubmitted map[string]string `json:"resubmitted"`
	}{"ok", renamed}, nil)
}

// getRecords returns copies of the records of ids, or an error that names the ids
// without one.
func (h *Hub) getRecords(ids []string) ([]db.Record, error) {
	var records []db.Record
	var missing []string
	seen := make(map[string]bool)
	for _, id := range ids {
		if seen[id] {
			continue
		}
		seen[id] = true
		r, err := h.getRecord(id)
		switch {
		case errors.Is(err, db.ErrUnknown), err == nil && r.Stub():
			missing = append(missing, pyString(id))
		case err != nil:
			return nil, err
		default:
			records = append(records, *r)
		}
	}
	if missing != nil {
		return nil, keyError("No such msg(s): [" + strings.Join(missing, ", ") + "]")
	}
	return records, nil
}

// resend sends a recorded task again and returns its new id.
func (h *Hub) resend(old db.Record) (string, error) {
	header, err := wire.PeekHeader(old.Header)
	if err != nil {
		return "", err
	}
	fresh := h.session.NewHeader(header.MsgType)
	fresh.Session, fresh.Username, fresh.Version = header.Session, header.Username, header.Version
	// The parent of a resubmitted task is its own header.
	m, err := h.session.MessageWith(fresh, nil, nil, json.RawMessage(old.Content), old.Buffers...)
	if err != nil {
		return "", err
	}
	m.Parent = m.Header
	m.Signature = h.session.Signer().Sign(&m)

	j := &job{id: fresh.MsgID, topic: monitor.InTask}
	record := h.newRecord(j, &m, monitor.Submission{ID: fresh.MsgID, Session: fresh.Session, Date: fresh.Date, Label: old.Label})
	if err := h.db.Add(record); err != nil {
		return "", err
	}
	h.addJob(j, &h.unassigned)
	h.updateRecord(old.MsgID, &db.Change{Set: db.FieldSet(db.Resubmitted), Record: db.Record{Resubmitted: j.id}})
	h.o.Resubmit(m.AppendFrames(nil))
	return j.id, nil
}
