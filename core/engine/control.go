package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/ipcore/ipcore/core/engine/worker"
	"github.com/ipcore/ipcore/core/wire"
)

// handleControl handles messages of the control channel. It replies at once, whatever
// is running, except to clear_request.
func (e *engine) handleControl(endpoint string, frames [][]byte) {
	m, h, err := retainMessage(e.session, frames)
	if err != nil {
		e.log.Warn("message dropped", "endpoint", endpoint, "error", err)
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	r := &request{link: e.control, from: endpoint, idents: m.Idents, header: h, parent: m.Header}
	var handle func(*request, *wire.Message) (json.RawMessage, error)
	switch h.MsgType {
	case "abort_request":
		handle = e.abort
	case "interrupt_request":
		handle = func(*request, *wire.Message) (json.RawMessage, error) {
			return contentOK, e.interruptLocked(os.Interrupt)
		}
	case "signal_request":
		handle = e.signal
	case "shutdown_request":
		handle = e.shutdown
	case "clear_request":
		r.kind = kindClear
		if e.stopping {
			return
		}
		e.queue.pushFirst(r)
		e.next()
		return
	default:
		e.take(e.control, endpoint, &m, h)
		return
	}
	e.busy(r)
	content, err := handle(r, &m)
	if err != nil {
		var remote *wire.RemoteError
		if !errors.As(err, &remote) {
			remote = wire.NewRemoteError("RuntimeError", err.Error())
		}
		if content, err = json.Marshal(remote); err != nil {
			e.log.Error("cannot reply", "type", h.MsgType, "error", err)
			return
		}
	}
	e.send(r, replyType(h.MsgType), e.metadata, content)
	if h.MsgType == "shutdown_request" {
		e.iopub.publish(e.topic+"shutdown", "shutdown_reply", r.parent, nil, content)
	}
	e.idle(r)
	if h.MsgType == "shutdown_request" {
		e.stopping = true
		e.end(errShutdown)
	}
}

// abort replies to waiting requests as aborted: those with the given ids, even if they
// have not arrived yet, or without ids all execute requests.
func (e *engine) abort(_ *request, m *wire.Message) (json.RawMessage, error) {
	var content struct {
		IDs json.RawMessage `json:"msg_ids"`
	}
	if err := e.session.Unpack(m.Content, &content); err != nil {
		return nil, err
	}
	var ids []string
	if text := string(content.IDs); text != "" && text != "null" {
		var one string
		if json.Unmarshal(content.IDs, &one) == nil {
			ids = []string{one}
		} else if err := json.Unmarshal(content.IDs, &ids); err != nil {
			return nil, wire.NewRemoteError("TypeError", "msg_ids is neither a list of ids nor an id")
		}
	}
	if len(ids) == 0 {
		e.abortExecutes()
		return contentOK, nil
	}
	wanted := make(map[string]bool, len(ids))
	for _, id := range ids {
		wanted[id] = true
	}
	for _, r := range e.queue.remove(func(r *request) bool {
		return r.kind != kindClear && (wanted[r.header.MsgID] || r.meta.original != "" && wanted[r.meta.original])
	}) {
		delete(wanted, r.header.MsgID)
		e.refuse(r, statusAborted, nil)
	}
	for id := range wanted {
		if e.running == nil || !e.running.is(id) {
			e.aborted.add(id)
		}
	}
	return contentOK, nil
}

// abortExecutes aborts all waiting execute requests.
func (e *engine) abortExecutes() {
	for _, r := range e.queue.remove(func(r *request) bool { return r.kind == kindExecute }) {
		e.refuse(r, statusAborted, nil)
	}
}

// signal sends a signal to the worker. SIGINT interrupts the running request, and has
// no effect without one. SIGTERM ends the engine. With SIGKILL and others that end the
// worker, the running request and the namespace are lost.
func (e *engine) signal(_ *request, m *wire.Message) (json.RawMessage, error) {
	var content struct {
		Sig json.RawMessage `json:"sig"`
	}
	if err := e.session.Unpack(m.Content, &content); err != nil {
		return nil, err
	}
	var number int
	if missing := len(content.Sig) == 0 || string(content.Sig) == "null"; missing || json.Unmarshal(content.Sig, &number) != nil {
		var name string
		if err := json.Unmarshal(content.Sig, &name); missing || err != nil {
			return nil, wire.NewRemoteError("TypeError", "sig is neither a number nor a name")
		}
		sig, ok := worker.SignalNumber(strings.ToUpper(name))
		if !ok {
			return nil, wire.NewRemoteError("AttributeError", fmt.Sprintf("module 'signal' has no attribute '%s'", name))
		}
		number = int(sig)
	}
	if number < 0 || number > 64 { // 0 only checks that the process exists
		return nil, wire.NewRemoteError("ValueError", fmt.Sprintf("%d is not a signal", number))
	}
	switch sig := syscall.Signal(number); sig {
	case syscall.SIGTERM:
		e.end(errShutdown)
		return contentOK, nil
	default:
		return contentOK, e.interruptLocked(sig)
	}
}

// interrupt sends a signal to the worker.
func (e *engine) interrupt(sig os.Signal) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.interruptLocked(sig)
}

func (e *engine) interruptLocked(sig os.Signal) error {
	if e.worker == nil || sig == os.Interrupt && e.running == nil {
		return nil
	}
	return e.worker.Signal(sig)
}

// shutdown returns the content of a shutdown_reply.
func (e *engine) shutdown(_ *request, m *wire.Message) (json.RawMessage, error) {
	var content struct {
		Restart bool `json:"restart"`
	}
	if err := e.session.Unpack(m.Content, &content); err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, `{"status": "ok", "restart": %t}`, content.Restart), nil
}
