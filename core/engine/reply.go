package engine

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ipcore/ipcore/core/wire"
)

// appendQuoted appends a JSON string. Bytes that are not UTF-8 become U+FFFD.
func appendQuoted[T string | []byte](dst []byte, s T) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	plain := 0 // start of the bytes that are copied unchanged
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(string(s[i:min(i+utf8.UTFMax, len(s))]))
			if r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
		}
		dst = append(dst, s[plain:i]...)
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		default:
			dst = append(dst, "\uFFFD"...)
		}
		i++
		plain = i
	}
	dst = append(dst, s[plain:]...)
	return append(dst, '"')
}

// failure is the error of an error reply.
type failure struct {
	ename, evalue string
	traceback     []string
	expressions   []byte // user_expressions JSON
	unmet         bool   // dependencies_met is false
}

// status of a reply.
const (
	statusOK      = "ok"
	statusError   = "error"
	statusAborted = "aborted"
)

// replyMetadata returns the metadata of an apply or execute reply, with its keys in
// IPython Parallel's order.
func (e *engine) replyMetadata(r *request, status string, f *failure) json.RawMessage {
	b := make([]byte, 0, 320)
	b = append(b, `{"started": "`...)
	started := r.started
	if started.IsZero() {
		started = time.Now()
	}
	b = wire.AppendDate(b, started)
	b = append(b, `", "dependencies_met": `...)
	b = strconv.AppendBool(b, f == nil || !f.unmet)
	b = append(b, `, "engine": `...)
	b = append(b, e.quotedUUID...)
	b = append(b, `, "is_broadcast": `...)
	b = strconv.AppendBool(b, r.meta.broadcast)
	b = append(b, `, "is_coalescing": `...)
	b = strconv.AppendBool(b, r.meta.coalescing)
	b = append(b, `, "original_msg_id": `...)
	b = appendQuoted(b, r.meta.original)
	b = append(b, `, "label": `...)
	b = append(b, r.meta.label...)
	b = append(b, `, "status": "`...)
	b = append(b, status...)
	b = append(b, '"')
	if status == statusError {
		b = append(b, `, "engine_info": `...)
		b = e.appendEngineInfo(b, "")
	}
	return append(b, '}')
}

func (e *engine) appendEngineInfo(b []byte, method string) []byte {
	b = append(b, `{"engine_uuid": `...)
	b = append(b, e.quotedUUID...)
	b = append(b, `, "engine_id": `...)
	b = strconv.AppendInt(b, int64(e.id), 10)
	if method != "" {
		b = append(b, `, "method": `...)
		b = appendQuoted(b, method)
	}
	return append(b, '}')
}

// appendTo appends the three fields of a failure that replies and error messages have
// in common.
func (f *failure) appendTo(b []byte) []byte {
	b = append(b, `"traceback": [`...)
	for i, line := range f.traceback {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = appendQuoted(b, line)
	}
	b = append(b, `], "ename": `...)
	b = appendQuoted(b, f.ename)
	b = append(b, `, "evalue": `...)
	return appendQuoted(b, f.evalue)
}

var contentOK = json.RawMessage(`{"status": "ok"}`)

// replyContent returns the content of a reply to any request but kindJupyter's.
func (e *engine) replyContent(r *request, status string, f *failure, expressions []byte) json.RawMessage {
	if r.kind != kindExecute {
		switch {
		case f != nil:
			b := f.appendTo([]byte{'{'})
			b = append(b, `, "engine_info": `...)
			b = e.appendEngineInfo(b, "apply")
			return append(b, `, "status": "error"}`...)
		case status == statusAborted:
			return json.RawMessage(`{"status": "aborted"}`)
		}
		return contentOK
	}
	b := append([]byte(`{"status": "`), status...)
	b = append(b, '"')
	if status == statusAborted {
		return append(b, '}')
	}
	if f != nil {
		b = append(b, ", "...)
		b = f.appendTo(b)
		b = append(b, `, "engine_info": `...)
		b = e.appendEngineInfo(b, "execute")
		expressions = f.expressions
	}
	b = append(b, `, "execution_count": `...)
	b = strconv.AppendInt(b, int64(e.cells), 10)
	b = append(b, `, "user_expressions": `...)
	if len(expressions) == 0 || !json.Valid(expressions) {
		expressions = []byte("{}")
	}
	b = append(b, expressions...)
	return append(b, `, "payload": []}`...)
}

// send sends a reply. The caller holds the engine's lock.
func (e *engine) send(r *request, msgType string, metadata, content json.RawMessage, buffers ...[]byte) {
	m, err := e.session.Message(msgType, r.parent, metadata, content, buffers...)
	if err != nil {
		e.log.Error("cannot reply", "type", msgType, "msg_id", r.header.MsgID, "error", err)
		return
	}
	m.Idents = r.idents
	e.frames = m.AppendFrames(e.frames[:0])
	r.link.send(r.from, e.frames)
	clear(e.frames)
}

// publish publishes a message about a request or, without a parent, about the engine.
func (e *engine) publish(topic, msgType string, parent []byte, content json.RawMessage) {
	e.iopub.publish(e.topic+topic, msgType, parent, e.metadata, content)
}

var (
	stateStarting = json.RawMessage(`{"execution_state": "starting"}`)
	stateBusy     = json.RawMessage(`{"execution_state": "busy"}`)
	stateIdle     = json.RawMessage(`{"execution_state": "idle"}`)
)

func (e *engine) busy(r *request) { e.publish("status", "status", r.parent, stateBusy) }
func (e *engine) idle(r *request) { e.publish("status", "status", r.parent, stateIdle) }

// publishFailure publishes an error as output.
func (e *engine) publishFailure(r *request, f *failure) {
	e.publish("error", "error", r.parent, append(f.appendTo([]byte{'{'}), '}'))
}

// reply replies to an apply, execute or clear request with its outcome.
func (e *engine) reply(r *request, status string, f *failure, expressions []byte, buffers ...[]byte) {
	meta := e.metadata
	if r.kind == kindApply || r.kind == kindExecute {
		meta = e.replyMetadata(r, status, f)
	}
	e.send(r, replyType(r.header.MsgType), meta, e.replyContent(r, status, f, expressions), buffers...)
}

// refuse replies to a request that was not run, and publishes the messages that clients
// wait for.
func (e *engine) refuse(r *request, status string, f *failure) {
	e.busy(r)
	e.reply(r, status, f, nil)
	e.idle(r)
}

// engineError returns a failure that was not caused by the user's code.
func engineError(evalue string, details ...string) *failure {
	f := &failure{ename: "EngineError", evalue: evalue, traceback: []string{"Traceback (most recent call last):"}}
	for _, d := range details {
		if d != "" {
			f.traceback = append(f.traceback, strings.Split(d, "\n")...)
		}
	}
	f.traceback = append(f.traceback, "EngineError: "+evalue)
	return f
}
