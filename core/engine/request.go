package engine

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/ipcore/ipcore/core/sockets"
	"github.com/ipcore/ipcore/core/wire"
)

// kind is what a request asks the worker to do.
type kind int

const (
	kindApply kind = iota
	kindExecute
	kindClear
	kindJupyter // another request of the Jupyter protocol
	kindStartup // startup code, which no client waits for
)

// request is a request in the queue or in progress.
type request struct {
	kind    kind
	link    *link
	from    string   // endpoint
	idents  [][]byte // returned unchanged with the reply
	header  wire.Header
	parent  []byte // the packed header
	meta    metadata
	buffers [][]byte
	content []byte // kindJupyter
	cell    cell   // kindExecute, kindStartup
	size    int64  // memory that it keeps, in bytes
	started time.Time
	count   int // kindExecute: its execution count
}

// metadata has the fields that a reply's metadata repeats from its request's.
type metadata struct {
	broadcast, coalescing bool
	original              string // original_msg_id
	label                 string // JSON
}

// cell is the content of an execute request.
type cell struct {
	code         string
	silent       bool
	storeHistory bool
	stopOnError  bool
	expressions  []byte // user_expressions JSON; empty for none
	name         string // kindStartup: its name in messages
}

// newRequest returns the request of a retained message (sockets.Retain).
func newRequest(m *wire.Message, h wire.Header) (*request, error) {
	r := &request{idents: m.Idents, header: h, parent: m.Header, buffers: m.Buffers}
	meta, err := wire.PeekMetadata(m.Metadata)
	if err != nil {
		return nil, err
	}
	r.meta = metadata{broadcast: meta.IsBroadcast, coalescing: meta.IsCoalescing, original: meta.OriginalMsgID, label: "null"}
	if meta.Label != "" {
		r.meta.label = string(appendQuoted(nil, meta.Label))
	}
	r.size = int64(len(m.Header) + len(m.Metadata) + len(m.Content))
	for _, b := range m.Buffers {
		r.size += int64(len(b))
	}
	return r, nil
}

// readCell reads the content of an execute request.
func readCell(s *wire.Session, content []byte) (cell, error) {
	var c struct {
		Code            *string         `json:"code"`
		Silent          *bool           `json:"silent"`
		StoreHistory    *bool           `json:"store_history"`
		StopOnError     *bool           `json:"stop_on_error"`
		UserExpressions json.RawMessage `json:"user_expressions"`
	}
	if err := s.Unpack(content, &c); err != nil {
		return cell{}, err
	}
	if c.Code == nil || c.Silent == nil {
		return cell{}, fmt.Errorf("execute_request without code or silent")
	}
	or := func(v *bool, otherwise bool) bool {
		if v != nil {
			return *v
		}
		return otherwise
	}
	x := cell{code: *c.Code, silent: *c.Silent, stopOnError: or(c.StopOnError, true)}
	x.storeHistory = or(c.StoreHistory, true) && !x.silent
	if e := string(c.UserExpressions); e != "" && e != "{}" && e != "null" {
		x.expressions = c.UserExpressions
	}
	return x, nil
}

// is reports whether id refers to this request. A broadcast has the id that its
// scheduler created for this engine, and the client's own.
func (r *request) is(id string) bool {
	return r.kind != kindStartup && (id == r.header.MsgID || id == r.meta.original && id != "")
}

// replyType is "apply_reply" for an "apply_request".
func replyType(requestType string) string {
	return strings.TrimSuffix(requestType, "_request") + "_reply"
}

// queue holds waiting requests in order of arrival.
type queue struct {
	requests []*request
	head     int
	bytes    int64
}

func (q *queue) len() int { return len(q.requests) - q.head }

func (q *queue) push(r *request) {
	q.requests = append(q.requests, r)
	q.bytes += r.size
}

// pushFirst puts a clear request before all requests but other clears.
func (q *queue) pushFirst(r *request) {
	i := q.head
	for i < len(q.requests) && q.requests[i].kind == kindClear {
		i++
	}
	q.requests = append(q.requests, nil)
	copy(q.requests[i+1:], q.requests[i:])
	q.requests[i] = r
	q.bytes += r.size
}

// pop removes and returns the first request, or returns nil.
func (q *queue) pop() *request {
	if q.len() == 0 {
		return nil
	}
	r := q.requests[q.head]
	q.requests[q.head] = nil
	q.head++
	q.bytes -= r.size
	switch {
	case q.len() == 0:
		q.requests, q.head = q.requests[:0], 0
		if cap(q.requests) > 1024 {
			q.requests = nil
		}
	case q.head >= 1024 && q.head > q.len():
		n := copy(q.requests, q.requests[q.head:])
		clear(q.requests[n:])
		q.requests, q.head = q.requests[:n], 0
	}
	return r
}

// remove removes the requests for which f is true and returns them in order.
func (q *queue) remove(f func(*request) bool) []*request {
	var removed []*request
	kept := q.requests[q.head:q.head]
	for _, r := range q.requests[q.head:] {
		if f(r) {
			removed = append(removed, r)
			q.bytes -= r.size
		} else {
			kept = append(kept, r)
		}
	}
	clear(q.requests[q.head+len(kept):])
	q.requests = q.requests[:q.head+len(kept)]
	return removed
}

// idSet is a set of the most recently added ids, of limited size.
type idSet struct {
	ids   map[string]struct{}
	order []string
}

// maxAborted is how many ids are remembered of requests that were aborted before they
// arrived.
const maxAborted = 1 << 16

func (s *idSet) add(id string) {
	if _, had := s.ids[id]; had {
		return
	}
	if s.ids == nil {
		s.ids = make(map[string]struct{})
	}
	if len(s.order) >= maxAborted {
		for _, old := range s.order[:maxAborted/2] {
			delete(s.ids, old)
		}
		s.order = append([]string(nil), s.order[maxAborted/2:]...)
	}
	s.ids[id] = struct{}{}
	s.order = append(s.order, id)
}

// has reports whether a request's id is in the set.
func (s *idSet) has(r *request) bool {
	if len(s.ids) == 0 {
		return false
	}
	_, own := s.ids[r.header.MsgID]
	_, original := s.ids[r.meta.original]
	return own || original && r.meta.original != ""
}

// retainMessage opens frames and retains the message.
func retainMessage(s *wire.Session, frames [][]byte) (wire.Message, wire.Header, error) {
	m, err := s.Open(sockets.Retain(frames))
	if err != nil {
		return m, wire.Header{}, err
	}
	h, err := wire.PeekHeader(m.Header)
	if err == nil && (h.MsgID == "" || h.MsgType == "") {
		err = fmt.Errorf("header without msg_id or msg_type")
	}
	return m, h, err
}
