package hub

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ipcore/ipcore/core/wire"
)

// targets reads the targets of a request: null for every engine that was ever
// registered, an id, a uuid, or a list of them.
func (h *Hub) targets(text json.RawMessage) ([]*engine, error) {
	if len(text) == 0 {
		return nil, keyError("targets")
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return nil, wire.NewRemoteError("TypeError", fmt.Sprintf("targets: %v", err))
	}
	if v == nil {
		return h.engines.all(), nil
	}
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	if len(list) == 0 {
		return nil, wire.NewRemoteError("IndexError", "No Engines Registered")
	}
	var found []*engine
	var bad []string
	for _, target := range list {
		if e := h.target(target); e == nil {
			bad = append(bad, pyValue(target))
		} else if !slices.Contains(found, e) {
			found = append(found, e)
		}
	}
	if bad != nil {
		return nil, wire.NewRemoteError("IndexError", "No Such Engine: ["+strings.Join(bad, ", ")+"]")
	}
	return found, nil
}

func (h *Hub) target(v any) *engine {
	switch v := v.(type) {
	case string:
		return h.engines.byUUID[v]
	case json.Number:
		if id, err := strconv.Atoi(v.String()); err == nil {
			return h.engines.get(id)
		}
	}
	return nil
}

// pyValue writes a JSON value as Python's repr does, as far as a target can have
// it.
func pyValue(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case string:
		return pyString(v)
	case bool:
		if v {
			return "True"
		}
		return "False"
	}
	return fmt.Sprint(v)
}

// queueCounts is the reply to queue_request for one engine: numbers, or lists of
// ids.
type queueCounts struct {
	Queue     any `json:"queue"`
	Completed any `json:"completed"`
	Tasks     any `json:"tasks"`
}

// queueStatus handles a queue_request.
func (h *Hub) queueStatus(r *request) error {
	var content struct {
		Targets json.RawMessage `json:"targets"`
		Verbose bool            `json:"verbose"`
	}
	if err := h.unpack(r, &content); err != nil {
		return err
	}
	engines, err := h.targets(content.Targets)
	if err != nil {
		return err
	}
	o := newObject()
	for _, e := range engines {
		c := queueCounts{e.queue.n, e.completed, e.tasks.n}
		if content.Verbose {
			c = queueCounts{e.queue.ids(), e.recentIDs(), e.tasks.ids()}
		}
		o.put(strconv.Itoa(e.id), c)
	}
	if content.Verbose {
		o.put("unassigned", h.unassigned.ids())
	} else {
		o.put("unassigned", h.unassigned.n)
	}
	return h.answerObject(r, "queue_reply", o)
}

// load handles a load_request: it returns the number of requests and tasks that
// wait for each engine or run there, by id.
func (h *Hub) load(r *request) error {
	var content struct {
		Targets json.RawMessage `json:"targets"`
	}
	if err := h.unpack(r, &content); err != nil {
		return err
	}
	engines, err := h.targets(content.Targets)
	if err != nil {
		return err
	}
	o := newObject()
	for _, e := range engines {
		o.put(strconv.Itoa(e.id), e.queue.n+e.tasks.n)
	}
	return h.answerObject(r, "load_reply", o)
}

func (h *Hub) history(r *request) error {
	h.buildAll()
	ids, err := h.db.History()
	if ids == nil {
		ids = []string{}
	}
	return h.answer(r, "history_reply", struct {
		Status  string   `json:"status"`
		History []string `json:"history"`
	}{"ok", ids}, err)
}
