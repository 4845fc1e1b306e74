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
	// moveBeforeTidy is how many bytes pass through before memory is given
	// back to the system, after tidyDelay without a request.
	moveBeforeTidy = 64 << 20
	tidyDelay      = time.Second
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
	if p.Alive() { // else Exited has been called, or will be
		e.worker = p
		e.greet()
	}
}

// greet tells the worker who it works for, once both are known. The lock is
// held.
func (e *engine) greet() {
	if !e.registered || e.worker == nil {
		return
	}
	hello := fmt.Appendf(nil, `{"engine_id": %d, "uuid": %s}`, e.id, e.quotedUUID)
	if err := e.worker.Hello(hello); err != nil {
		e.log.Debug("hello not sent", "error", err) // Exited comes
	}
}

// startupCells is the code to run in a new namespace.
func (e *engine) startupCells() []cell {
	var cells []cell
	if path := e.opts.StartupScript; path != "" {
		quoted := appendQuoted(nil, path) // JSON's strings are Python's too
		cells = append(cells, cell{name: path, silent: true, code: fmt.Sprintf(
			"exec(compile(open(%s, 'rb').read(), %s, 'exec'))", quoted, quoted)})
	}
	if code := e.opts.StartupCommand; code != "" {
		cells = append(cells, cell{name: "startup command", silent: true, code: code})
	}
	return cells
}

// handler is the engine as its workers see it.
type handler struct{ *engine }

var _ worker.Handler = handler{}

// Ready begins with the startup code, then the queue.
func (h handler) Ready(p *worker.Process, info []byte) {
	e := h.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := json.Unmarshal(info, &e.python); err != nil {
		e.log.Warn("the worker's greeting cannot be read", "error", err)
	}
	e.log.Debug("worker ready", "pid", p.Pid(), "python", e.python.Python)
	e.ready = true
	e.startup = e.startupCells()
	e.next()
}

// Output publishes what the worker wrote.
func (h handler) Output(p *worker.Process) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.flushOutput(p, false)
}

// flushOutput publishes what p wrote as output of the last request; with
// drain, all that it wrote until now. The lock is held.
func (e *engine) flushOutput(p *worker.Process, drain bool) {
	if e.iopub == nil {
		return // not registered yet: it stays where it is
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

// say publishes a line of the engine's own on stderr.
func (e *engine) say(line string) {
	if e.iopub == nil {
		return
	}
	b := append([]byte(`{"name": "stderr", "text": `), appendQuoted(nil, line+"\n")...)
	e.publish("stderr", "stream", e.lastParent(), append(b, '}'))
}

// lastParent is the header of the request whose output comes now.
func (e *engine) lastParent() []byte {
	if e.last == nil {
		return nil
	}
	return e.last.parent
}

// Display publishes what the worker shows.
func (h handler) Display(p *worker.Process, d worker.Display) {
	e := h.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.iopub == nil {
		return
	}
	if !json.Valid(d.Content) {
		e.log.Warn("display data that is no JSON dropped", "type", string(d.MsgType))
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
		p.Kill(fmt.Errorf("answered what was not asked (%q)", w.MsgID))
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
			e.say(r.cell.name + ":\n" + strings.Join(f.traceback, "\n"))
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

// conclude answers the running request.
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
		e.answer(r, status, nil, nil, parts...)
		for _, part := range parts {
			e.moved += int64(len(part))
		}
	case r.kind == kindExecute && f == nil && len(parts) > 0:
		e.answer(r, status, nil, parts[0])
	case r.kind != kindJupyter:
		e.answer(r, status, f, nil)
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
	// It stays as the last one, for late output.
	r.buffers, r.content, r.cell.code, r.idents = nil, nil, "", nil
}

// Exited answers for a worker that died, and starts a new one.
func (h handler) Exited(p *worker.Process, exit worker.Exit) {
	e := h.engine
	defer e.processes.Done()
	e.mu.Lock()
	defer e.mu.Unlock()
	settled := e.settled
	e.worker, e.ready, e.settled = nil, false, false
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
		e.say(fmt.Sprintf("The Python worker of engine %d %v. A new one is starting; its namespace is empty.", e.id, exit))
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

// startFailure is the error of workers that do not start.
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

// rest is called when there is nothing to do. The lock is held.
func (e *engine) rest() {
	if e.moved < moveBeforeTidy {
		return
	}
	e.moved = 0
	if e.tidy == nil {
		e.tidy = time.AfterFunc(tidyDelay, debug.FreeOSMemory)
	} else {
		e.tidy.Reset(tidyDelay)
	}
}
