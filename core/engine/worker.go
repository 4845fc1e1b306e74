package engine

import (
	"encoding/json"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/ipcore/ipcore/core/engine/worker"
)

const (
	// maxFailures is how many workers in a row may die before they are ready.
	maxFailures = 3
	// bytesBeforeFree is how many bytes of buffers pass through before memory is
	// returned to the system, after freeMemoryDelay without a request.
	bytesBeforeFree = 64 << 20
	freeMemoryDelay = time.Second
)

// startWorker starts a worker.
func (e *engine) startWorker() {
	e.processes.Add(1) // until Exited
	p, err := worker.Start(worker.Options{
		Command: e.opts.command,
		Source:  worker.Source(),
		Dir:     e.opts.WorkDir,
		Handler: handler{e},
		Log:     e.opts.Log.Named("worker"),
	})
	if err != nil {
		e.processes.Done()
		e.end(fmt.Errorf("%w: %w", ErrWorker, err))
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if p.Alive() { // otherwise Exited was called or will be
		e.worker = p
		e.sendHello()
	}
}

// sendHello sends the worker its engine id and uuid, once the worker has started and the
// engine is registered. The caller holds the lock.
func (e *engine) sendHello() {
	if !e.registered || e.worker == nil {
		return
	}
	hello := fmt.Appendf(nil, `{"engine_id": %d, "uuid": %s}`, e.id, e.quotedUUID)
	if err := e.worker.Hello(hello); err != nil {
		e.log.Debug("hello not sent", "error", err) // Exited will be called
	}
}

// startupCells returns the code to run in a new namespace.
func (e *engine) startupCells() []cell {
	var cells []cell
	if path := e.opts.StartupScript; path != "" {
		quoted := appendQuoted(nil, path) // a JSON string is also a Python string
		cells = append(cells, cell{name: path, silent: true, code: fmt.Sprintf(
			"exec(compile(open(%s, 'rb').read(), %s, 'exec'))", quoted, quoted)})
	}
	if code := e.opts.StartupCommand; code != "" {
		cells = append(cells, cell{name: "startup command", silent: true, code: code})
	}
	return cells
}

// handler implements worker.Handler.
type handler struct{ *engine }

var _ worker.Handler = handler{}

// Ready starts the startup code and then the queue.
func (h handler) Ready(p *worker.Process, info []byte) {
	e := h.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := json.Unmarshal(info, &e.python); err != nil {
		e.log.Warn("the worker's first message can't be decoded", "error", err)
	}
	e.log.Debug("worker ready", "pid", p.Pid(), "python", e.python.Python)
	e.ready = true
	e.startup = e.startupCells()
	e.next()
}

// Output publishes the worker's output.
func (h handler) Output(p *worker.Process) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.flushOutput(p, false)
}

// flushOutput publishes p's output as output of the last request; with drain, everything
// that it has written so far. The caller holds the lock.
func (e *engine) flushOutput(p *worker.Process, drain bool) {
	if e.iopub == nil {
		return // not registered yet: the output stays in the pipe
	}
	p.TakeOutput(drain, func(s worker.Stream, text []byte) {
		b := make([]byte, 0, len(text)+len(text)/8+64)
		b = append(b, `{"name": "`...)
		b = append(b, s.String()...)
		b = append(b, `", "text": `...)
		b = append(appendQuoted(b, text), '}')
		e.publish(s.String(), "stream", e.lastParent(), b)
	})
}

// publishLine publishes a line from the engine itself on stderr.
func (e *engine) publishLine(line string) {
	if e.iopub == nil {
		return
	}
	b := append([]byte(`{"name": "stderr", "text": `), appendQuoted(nil, line+"\n")...)
	e.publish("stderr", "stream", e.lastParent(), append(b, '}'))
}

// lastParent returns the header of the request that output now belongs to.
func (e *engine) lastParent() []byte {
	if e.last == nil {
		return nil
	}
	return e.last.parent
}

// Display publishes the worker's display data.
func (h handler) Display(p *worker.Process, d worker.Display) {
	e := h.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.iopub == nil {
		return
	}
	if !json.Valid(d.Content) {
		e.log.Warn("dropped display data that is not JSON", "type", string(d.MsgType))
		return
	}
	e.flushOutput(p, true)
	msgType := string(d.MsgType)
	topic, metadata := e.topic+msgType, json.RawMessage(nil)
	switch msgType {
	case "display_data", "update_display_data", "clear_output":
		topic = e.topic + "displaypub"
	case "data_message":
		topic, metadata = "datapub", e.metadata
	case "comm_open", "comm_msg", "comm_close":
		var content struct {
			ID string `json:"comm_id"`
		}
		if err := json.Unmarshal(d.Content, &content); err != nil {
			e.log.Warn("comm message dropped", "error", err)
			return
		}
		topic = "comm-" + content.ID
	}
	var parent []byte
	if e.last != nil && (len(d.Parent) == 0 || string(d.Parent) == e.last.header.MsgID) {
		parent = e.last.parent
	}
	e.iopub.publish(topic, msgType, parent, metadata, d.Content, d.Buffers...)
}

// Reply ends the running request.
func (h handler) Reply(p *worker.Process, w worker.Reply) {
	e := h.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.running
	if r == nil || string(w.MsgID) != r.header.MsgID {
		p.Kill(fmt.Errorf("replied to a request that it was not sent (%q)", w.MsgID))
		return
	}
	e.flushOutput(p, true)
	var f *failure
	if !w.OK {
		f = &failure{
			ename: string(w.Ename), evalue: string(w.Evalue), expressions: w.UserExpressions,
			traceback: strings.Split(string(w.Traceback), "\x00"),
		}
		f.unmet = f.ename == "UnmetDependency"
	}
	if r.kind == kindStartup {
		e.running = nil
		if f != nil {
			e.log.Warn("startup code failed", "code", r.cell.name, "error", f.ename+": "+f.evalue)
			e.publishLine(r.cell.name + ":\n" + strings.Join(f.traceback, "\n"))
		}
		e.next()
		return
	}
	e.conclude(r, f, w.Parts)
	if f != nil && r.kind == kindExecute && !r.cell.silent && r.cell.stopOnError {
		e.abortExecutes()
	}
	if r.kind == kindClear {
		e.startup = e.startupCells()
	}
	e.next()
}

// conclude replies to the running request.
func (e *engine) conclude(r *request, f *failure, parts [][]byte) {
	status := statusOK
	if f != nil {
		status = statusError
	}
	if r.kind == kindExecute && r.cell.storeHistory {
		e.cells++
	}
	if f != nil && (r.kind == kindApply || r.kind == kindExecute) {
		e.publishFailure(r, f)
	}
	switch {
	case r.kind == kindApply && f == nil:
		e.reply(r, status, nil, nil, parts...)
		for _, part := range parts {
			e.bytesSinceFree += int64(len(part))
		}
	case r.kind == kindExecute && f == nil && len(parts) > 0:
		e.reply(r, status, nil, parts[0])
	case r.kind != kindJupyter:
		e.reply(r, status, f, nil)
	case strings.HasPrefix(r.header.MsgType, "comm_"): // has no reply
	case f != nil:
		b := f.appendTo([]byte{'{'})
		e.send(r, replyType(r.header.MsgType), e.metadata, append(b, `, "status": "error"}`...))
	default:
		content := contentOK
		if len(parts) > 0 && json.Valid(parts[0]) {
			content = parts[0]
		}
		e.send(r, replyType(r.header.MsgType), e.metadata, content)
	}
	e.idle(r)
	e.running = nil
	// It stays the last request, for late output.
	r.buffers, r.content, r.cell.code, r.idents = nil, nil, "", nil
}

// Exited replies to the request of a worker that died, and starts a new worker.
func (h handler) Exited(p *worker.Process, exit worker.Exit) {
	e := h.engine
	defer e.processes.Done()
	e.mu.Lock()
	defer e.mu.Unlock()
	settled := e.stable
	e.worker, e.ready, e.stable = nil, false, false
	e.flushOutput(p, true)
	if e.stopping {
		return
	}
	if !settled {
		e.failures++
	}
	last := e.failures >= maxFailures
	e.log.Warn("worker died", "pid", p.Pid(), "reason", exit.String(), "settled", settled)
	if !last {
		e.publishLine(fmt.Sprintf("The Python worker of engine %d %v. A new one is starting; its namespace is empty.", e.id, exit))
	}
	r := e.running
	e.running = nil
	switch {
	case r == nil || r.kind == kindStartup:
	case r.kind == kindClear:
		e.conclude(r, nil, nil) // the new namespace is empty
	default:
		e.conclude(r, engineError(fmt.Sprintf("engine %d: the Python worker %v while running task '%s'",
			e.id, exit, r.header.MsgID), exit.Stack), nil)
	}
	if last {
		err := startFailure(e.failures, exit)
		for _, r := range e.queue.remove(func(*request) bool { return true }) {
			e.refuse(r, statusError, engineError(err.Error()))
		}
		e.end(err)
		return
	}
	e.wg.Go(e.startWorker)
}

// startFailure returns the error for workers that could not be started.
func startFailure(attempts int, exit worker.Exit) error {
	times := ""
	if attempts > 1 {
		times = fmt.Sprintf(" (%d times in a row)", attempts)
	}
	tail := exit.Tail
	if tail == "" {
		tail = "(no output)"
	}
	return fmt.Errorf("%w: it %v before it was ready%s; its last output:\n%s", ErrWorker, exit, times, tail)
}

// becomeIdle is called when there is no request to run. The caller holds the lock.
func (e *engine) becomeIdle() {
	if e.bytesSinceFree < bytesBeforeFree {
		return
	}
	e.bytesSinceFree = 0
	if e.freeMemoryTimer == nil {
		e.freeMemoryTimer = time.AfterFunc(freeMemoryDelay, debug.FreeOSMemory)
	} else {
		e.freeMemoryTimer.Reset(freeMemoryDelay)
	}
}
