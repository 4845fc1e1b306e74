package engine

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/ipcore/ipcore/core/engine/worker"
	"github.com/ipcore/ipcore/core/wire"
)

// handleShell takes what comes from mux, task and broadcast.
func (e *engine) handleShell(endpoint string, frames [][]byte) {
	m, h, err := ownMessage(e.session, frames)
	if err != nil {
		e.log.Warn("message dropped", "endpoint", endpoint, "error", err)
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.take(e.shell, endpoint, &m, h)
}

// take acts on a request of the shell channel, which may come on the control
// channel too. The lock is held.
func (e *engine) take(l *link, endpoint string, m *wire.Message, h wire.Header) {
	r, err := newRequest(m, h)
	if err != nil {
		e.log.Warn("message dropped", "endpoint", endpoint, "type", h.MsgType, "error", err)
		return
	}
	r.link, r.from = l, endpoint
	switch h.MsgType {
	case "apply_request":
		r.kind = kindApply
	case "execute_request":
		r.kind = kindExecute
		if r.cell, err = readCell(e.session, m.Content); err != nil {
			e.log.Warn("request dropped", "type", h.MsgType, "error", err)
			e.busy(r)
			e.idle(r)
			return
		}
	case "kernel_info_request", "connect_request", "comm_info_request":
		e.busy(r)
		e.send(r, replyType(h.MsgType), e.metadata, e.describe(h.MsgType))
		e.idle(r)
		return
	case "complete_request", "inspect_request", "is_complete_request", "history_request",
		"comm_open", "comm_msg", "comm_close":
		r.kind = kindJupyter
		if r.content, err = e.session.JSON(m.Content); err != nil {
			e.log.Warn("request dropped", "type", h.MsgType, "error", err)
			return
		}
	default:
		e.log.Debug("request of an unknown type", "type", h.MsgType)
		e.busy(r)
		e.idle(r)
		return
	}
	e.enqueue(r)
}

// enqueue puts a request at the end of the queue and starts it if it can be.
func (e *engine) enqueue(r *request) {
	if e.stopping {
		return
	}
	if e.aborted.has(r) {
		e.refuse(r, statusAborted, nil)
		return
	}
	if e.queue.len() >= e.opts.QueueLength || e.queue.bytes+r.size > e.opts.QueueBytes {
		e.refuse(r, statusError, engineError(fmt.Sprintf(
			"engine %d: its queue is full (%d requests, %d bytes): wait for results before you submit more",
			e.id, e.queue.len(), e.queue.bytes)))
		return
	}
	e.queue.push(r)
	e.next()
}

// next starts the next request if nothing is in the way. The lock is held.
func (e *engine) next() {
	if e.running != nil || !e.ready || e.stopping {
		return
	}
	var r *request
	if len(e.startup) > 0 {
		r = &request{kind: kindStartup, cell: e.startup[0]}
		e.startup = e.startup[1:]
	} else {
		e.settled, e.failures = true, 0
		if r = e.queue.pop(); r == nil {
			e.rest()
			return
		}
	}
	e.flushOutput(e.worker, false) // of threads: it belongs to the last request
	e.running, e.last = r, r
	r.started = time.Now()
	// The worker begins while we tell the world: its answers wait for the lock.
	if err := e.hand(r); err != nil {
		e.log.Debug("request not sent", "error", err) // Exited comes
	}
	if r.kind == kindStartup {
		return
	}
	e.busy(r)
	if r.kind == kindExecute && !r.cell.silent {
		b := append([]byte(`{"code": `), appendQuoted(nil, r.cell.code)...)
		e.publish("execute_input", "execute_input", r.parent, fmt.Appendf(b, `, "execution_count": %d}`, r.count))
	}
}

// hand gives a request to the worker.
func (e *engine) hand(r *request) error {
	id := r.header.MsgID
	switch r.kind {
	case kindApply:
		e.moved += r.size
		return e.worker.Apply(id, e.sessionNumber(r.header.Session), r.buffers)
	case kindExecute, kindStartup:
		r.count = e.cells + 1
		return e.worker.Execute(worker.Execution{
			MsgID: id, Code: r.cell.code, Count: r.count, UserExpressions: r.cell.expressions,
			Silent: r.cell.silent, StoreHistory: r.cell.storeHistory,
		})
	case kindClear:
		return e.worker.Clear(id)
	default:
		return e.worker.Jupyter(id, r.header.MsgType, r.content)
	}
}

// sessionNumber tells client sessions apart for the worker, which remembers
// what Python they run.
func (e *engine) sessionNumber(id string) int {
	n, ok := e.sessions[id]
	if !ok {
		if len(e.sessions) >= 4096 {
			clear(e.sessions) // the numbers go on: a session may get a second one
		}
		e.sessionCount++
		n = e.sessionCount
		e.sessions[id] = n
	}
	return n
}

// describe answers the content of a reply that needs no worker.
func (e *engine) describe(msgType string) json.RawMessage {
	switch msgType {
	case "connect_request":
		return contentOK
	case "comm_info_request":
		return json.RawMessage(`{"status": "ok", "comms": {}}`)
	}
	version := e.python.Python
	if version == "" {
		version = "3"
	}
	quoted := appendQuoted(nil, version)
	return fmt.Appendf(nil, `{"status": "ok", "protocol_version": "5.3", "implementation": "ipcore", "implementation_version": "1", `+
		`"language_info": {"name": "python", "version": %s, "mimetype": "text/x-python", "file_extension": ".py", `+
		`"codemirror_mode": {"name": "ipython", "version": 3}, "pygments_lexer": "ipython3", "nbconvert_exporter": "python"}, `+
		`"banner": %s, "help_links": []}`, quoted, appendQuoted(nil, "Python "+version+" on an ipcore engine"))
}
