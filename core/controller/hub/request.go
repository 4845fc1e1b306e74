package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/ipcore/ipcore/core/controller/db"
	"github.com/ipcore/ipcore/core/wire"
)

// request is a message of the query socket that was opened.
type request struct {
	peer    []byte
	address string
	msg     wire.Message
	msgType string
}

// requestHandlers reply to requests. An error that a handler returns becomes a
// hub_error.
var requestHandlers = map[string]func(*Hub, *request) error{
	"registration_request":     (*Hub).register,
	"unregistration_request":   (*Hub).unregister,
	"connection_request":       (*Hub).connect,
	"queue_request":            (*Hub).queueStatus,
	"load_request":             (*Hub).load,
	"result_request":           (*Hub).results,
	"history_request":          (*Hub).history,
	"db_request":               (*Hub).query,
	"purge_request":            (*Hub).purge,
	"resubmit_request":         (*Hub).resubmit,
	"shutdown_request":         (*Hub).shutdown,
	"become_dask_request":      (*Hub).becomeDask,
	"stop_distributed_request": (*Hub).stopDistributed,
}

// maxRefused bounds the number of addresses for which refused messages are counted.
const maxRefused = 1024

// request opens a message of the query socket and handles it. A message that cannot
// be opened gets no reply, and is logged once for each sender.
func (h *Hub) request(c *clientMessage) {
	m, err := h.session.Open(c.frames)
	var header wire.Header
	if err == nil {
		header, err = wire.PeekHeader(m.Header)
	}
	if err == nil && (header.MsgID == "" || header.MsgType == "") {
		err = errors.New("header without msg_id or msg_type")
	}
	if err != nil {
		h.refusals.Count(err)
		if len(h.refused) >= maxRefused {
			clear(h.refused)
		}
		if h.refused[c.address]++; h.refused[c.address] == 1 {
			h.log.Error("message to the hub refused", "address", c.address, "error", err)
		}
		return
	}
	r := &request{peer: c.peer, address: c.address, msg: m, msgType: header.MsgType}
	h.log.Debug(textRequest, "type", r.msgType, "address", r.address)
	handler, ok := requestHandlers[r.msgType]
	if !ok {
		err = keyError(fmt.Sprintf("Bad Message Type: %s", pyString(r.msgType)))
	} else {
		err = handler(h, r)
	}
	if err == nil {
		return
	}
	h.log.Warn("hub_error", "type", r.msgType, "address", r.address, "error", err)
	if err := h.reply(r, "hub_error", remoteError(err)); err != nil {
		h.log.Warn("hub_error not sent", "address", r.address, "error", err)
	}
}

// unpack decodes a request's content.
func (h *Hub) unpack(r *request, v any) error {
	if err := h.session.Unpack(r.msg.Content, v); err != nil {
		return wire.NewRemoteError("TypeError", fmt.Sprintf("content of %s: %v", r.msgType, err))
	}
	return nil
}

// reply replies to a request.
func (h *Hub) reply(r *request, msgType string, content any, buffers ...[]byte) error {
	return h.send(r.peer, msgType, r.msg.Header, content, buffers...)
}

// answer replies to a request with content, or with err and the same type.
func (h *Hub) answer(r *request, msgType string, content any, err error, buffers ...[]byte) error {
	if err != nil {
		h.log.Warn("request failed", "type", r.msgType, "address", r.address, "error", err)
		return h.reply(r, msgType, databaseError(err))
	}
	return h.reply(r, msgType, content, buffers...)
}

func (h *Hub) send(peer []byte, msgType string, parent []byte, content any, buffers ...[]byte) error {
	m, err := h.session.Message(msgType, parent, nil, content, buffers...)
	if err != nil {
		return err
	}
	if err := h.o.Reply(peer, m.AppendFrames(nil)); err != nil {
		h.log.Warn("reply not sent", "type", msgType, "error", err)
	}
	return nil
}

// databaseError returns err as the content of a reply; an error of the database has
// the name that clients know.
func databaseError(err error) *wire.RemoteError {
	if e, ok := errors.AsType[*db.Error](err); ok {
		return wire.NewRemoteError(e.Ename, e.Evalue)
	}
	return remoteError(err)
}

// pack is for content that the hub creates.
func pack(v any) (json.RawMessage, error) { return json.Marshal(v) }

// statusOK is the content {"status": "ok"}.
var statusOK = json.RawMessage(`{"status": "ok"}`)

func (h *Hub) connect(r *request) error {
	engines := make(map[string]string)
	for _, e := range h.engines.live() {
		engines[strconv.Itoa(e.id)] = e.uuid
	}
	return h.reply(r, "connection_reply", struct {
		Status  string            `json:"status"`
		Engines map[string]string `json:"engines"`
	}{"ok", engines})
}

func (h *Hub) shutdown(r *request) error {
	h.log.Info("hub::shutdown requested", "address", r.address)
	if err := h.reply(r, "shutdown_reply", statusOK); err != nil {
		return err
	}
	h.notify("shutdown_notification", r.msg.Header, statusOK)
	h.o.Shutdown()
	return nil
}

func (h *Hub) becomeDask(r *request) error {
	var content struct {
		Arguments json.RawMessage `json:"scheduler_args"`
	}
	if err := h.unpack(r, &content); err != nil {
		return err
	}
	if len(content.Arguments) == 0 || string(content.Arguments) == "null" {
		content.Arguments = json.RawMessage("{}")
	}
	// The function may be called later, and from another goroutine.
	h.o.BecomeDask(content.Arguments, func(where json.RawMessage, err error) {
		if err := h.answer(r, "become_dask_reply", where, err); err != nil {
			h.log.Warn("become_dask_reply not sent", "address", r.address, "error", err)
		}
	})
	return nil
}

func (h *Hub) stopDistributed(r *request) error {
	h.o.StopDask()
	return h.reply(r, "stop_distributed_reply", statusOK)
}

// keyError returns Python's KeyError, whose text is quoted.
func keyError(text string) error { return wire.NewRemoteError("KeyError", pyString(text)) }

// pyString writes s as Python's repr does.
func pyString(s string) string {
	quote := "'"
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = `"`
	}
	inner := strconv.Quote(s)
	inner = strings.ReplaceAll(inner[1:len(inner)-1], `\"`, `"`)
	if quote == "'" {
		inner = strings.ReplaceAll(inner, "'", `\'`)
	}
	return quote + inner + quote
}
