package engine

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/ipcore/ipcore/core/engine/worker"
	"github.com/ipcore/ipcore/core/wire"
)

// handleShell handles messages from mux, task and broadcast.
func (e *engine) handleShell(endpoint string, frames [][]byte) {
	m, h, err := retainMessage(e.session, frames)
	if err != nil {
		e.log.Warn("message dropped", "endpoint", endpoint, "error", err)
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.take(e.shell, endpoint, &m, h)
}

// take handles a request of the shell channel, which may also arrive on the control
// channel. The caller holds the lock.
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

// enqueue puts a request at the end of the queue and starts it if possible.
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

// next starts the next request unless one is running or the worker is not ready. The
// caller holds the lock.
func (e *engine) next() {
	if e.running != nil || !e.ready || e.stopping {
		return
	}
	var r *request
	if len(e.startup) > 0 {
		r = &request{kind: kindStartup, cell: e.startup[0]}
		e.startup = e.startup[1:]
	} else {
		e.stable, e.failures = true, 0
		if r = e.queue.pop(); r == nil {
			e.becomeIdle()
			return
		}
	}
	e.flushOutput(e.worker, false) // output of threads belongs to the last request
	e.running, e.last = r, r
	r.started = time.Now()
	// The worker starts while the messages below are published; its replies wait for
	// the lock.
	if err := e.dispatch(r); err != nil {
		e.log.Debug("request not sent", "error", err) // Exited will be called
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

// dispatch sends a request to the worker.
func (e *engine) dispatch(r *request) error {
	id := r.header.MsgID
	switch r.kind {
	case kindApply:
		e.bytesSinceFree += r.size
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

// sessionNumber returns a number for a client session. The worker remembers the Python
// version of each session.
func (e *engine) sessionNumber(id string) int {
	n, ok := e.sessions[id]
	if !ok {
		if len(e.sessions) >= 4096 {
			clear(e.sessions) // numbers are not reused: a session may get a second one
		}
		e.sessionCount++
		n = e.sessionCount
		e.sessions[id] = n
	}
	return n
}

// describe returns the content of a reply that does not need the worker.
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
