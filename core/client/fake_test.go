package client

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipcore/ipcore/core/connfile"
	"github.com/ipcore/ipcore/core/sockets"
	"github.com/ipcore/ipcore/core/wire"
)

// fake is a small controller with its engines. It replies at once and interprets the
// code of requests.
type fake struct {
	subscribed       chan struct{} // a token for each subscription to notifications
	outputSubscribed chan struct{} // a token for each subscription to output
	t                *testing.T
	session          *wire.Session
	info             connfile.Client

	query, mux, task, control, notification, iopub *sockets.Socket

	mu      sync.Mutex
	engines map[string]string                   // uuids by id, as the reply has them
	run     func(reply func(), m *wire.Message) // runs "held" code: calls reply later
}

func startFake(t *testing.T, engines int) *fake {
	t.Helper()
	signer, err := wire.NewSigner("hmac-sha256", "secret")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{t: t, engines: make(map[string]string), subscribed: make(chan struct{}, 16), outputSubscribed: make(chan struct{}, 16), info: connfile.Client{
		Interface: "tcp://127.0.0.1", Key: "secret", Pack: "json", Unpack: "json", SignatureScheme: "hmac-sha256",
	}}
	if f.session, err = wire.NewSession("", signer, "json"); err != nil {
		t.Fatal(err)
	}
	for i := range engines {
		f.engines[fmt.Sprint(i)] = fmt.Sprint("engine-", i)
	}
	f.notification = f.publisher(&f.info.Notification, f.subscribed)
	f.iopub = f.publisher(&f.info.IOPub, f.outputSubscribed)
	f.query = f.listen(sockets.Router, &f.info.Registration, f.onQuery)
	f.control = f.listen(sockets.Router, &f.info.Control, f.onControl)
	f.mux = f.listen(sockets.Router, &f.info.Mux, f.onExecute)
	f.task = f.listen(sockets.Router, &f.info.Task, f.onExecute)
	return f
}

// publisher opens a PUB on *port that puts a token into subscribed for each subscription.
func (f *fake) publisher(port *int, subscribed chan struct{}) *sockets.Socket {
	f.t.Helper()
	return f.serve(sockets.Pub, port, sockets.Options{Subscribed: func(*sockets.Conn, []byte, bool) {
		select {
		case subscribed <- struct{}{}:
		default:
		}
	}})
}

// listen opens a socket on *port, and sets *port if it is 0.
func (f *fake) listen(kind sockets.Kind, port *int, handle func(*sockets.Conn, [][]byte)) *sockets.Socket {
	f.t.Helper()
	return f.serve(kind, port, sockets.Options{Handler: handle})
}

func (f *fake) serve(kind sockets.Kind, port *int, o sockets.Options) *sockets.Socket {
	f.t.Helper()
	s := sockets.New(kind, o)
	got, err := s.Listen(fmt.Sprintf("tcp://127.0.0.1:%d", *port))
	if err != nil {
		f.t.Fatal(err)
	}
	*port = got
	f.t.Cleanup(func() { _ = s.Close(0) })
	return s
}

// send signs a message and sends it on a connection.
func (f *fake) send(c *sockets.Conn, idents [][]byte, msgType string, parent []byte, metadata, content any) {
	m, err := f.session.Message(msgType, parent, metadata, content)
	if err != nil {
		f.t.Error(err)
		return
	}
	m.Idents = idents
	_ = c.Send(m.AppendFrames(nil)...)
}

func (f *fake) notify(msgType string, content any) {
	m, err := f.session.Message(msgType, nil, nil, content)
	if err != nil {
		f.t.Fatal(err)
	}
	_ = f.notification.Send(m.AppendFrames(nil)...)
}

func (f *fake) publish(parent []byte, msgType string, content any) {
	m, err := f.session.Message(msgType, parent, nil, content)
	if err != nil {
		f.t.Error(err)
		return
	}
	m.Idents = [][]byte{[]byte("engine." + msgType)}
	_ = f.iopub.Send(m.AppendFrames(nil)...)
}

func (f *fake) onQuery(c *sockets.Conn, frames [][]byte) {
	m, err := f.session.Open(frames)
	if err != nil {
		f.t.Error(err)
		return
	}
	h, _ := wire.PeekHeader(m.Header)
	content := map[string]any{"status": "ok"}
	switch h.MsgType {
	case "connection_request":
		f.mu.Lock()
		defer f.mu.Unlock()
		content["engines"] = f.engines
	case "queue_request":
		content["0"] = map[string]int{"queue": 1, "completed": 2, "tasks": 3}
		content["unassigned"] = 4
	case "history_request":
		content["history"] = []string{"a", "b"}
	case "shutdown_request":
		f.send(c, m.Idents, "shutdown_reply", m.Header, nil, content)
		f.notify("shutdown_notification", map[string]any{"status": "ok"})
		return
	case "db_request":
		content = map[string]any{"status": "error", "ename": "KeyError", "evalue": "'nosuch'", "traceback": []string{}, "engine_info": map[string]any{}}
	}
	f.send(c, m.Idents, strings.Replace(h.MsgType, "_request", "_reply", 1), m.Header, nil, content)
}

// onControl handles the engines' control requests.
func (f *fake) onControl(c *sockets.Conn, frames [][]byte) {
	m, err := f.session.Open(frames)
	if err != nil {
		f.t.Error(err)
		return
	}
	if h, _ := wire.PeekHeader(m.Header); h.MsgType != "clear_request" { // which never gets a reply
		f.send(c, m.Idents, "some_reply", m.Header, nil, map[string]any{"status": "ok"})
	}
}

// onExecute plays the engines. The code consists of words: print, value, idle, ok,
// error, aborted, lost; "held" passes the rest to f.run.
func (f *fake) onExecute(c *sockets.Conn, frames [][]byte) {
	m, err := f.session.Open(sockets.Retain(frames))
	if err != nil {
		f.t.Error(err)
		return
	}
	var content struct {
		Code        string            `json:"code"`
		Expressions map[string]string `json:"user_expressions"`
	}
	if err := json.Unmarshal(m.Content, &content); err != nil {
		f.t.Error(err)
		return
	}
	engine := "engine-0"
	if len(m.Idents) > 0 {
		engine = string(m.Idents[0])
	}
	do := func(words string) {
		for word := range strings.FieldsSeq(words) {
			status := map[string]any{"status": word}
			switch word {
			case "print":
				f.publish(m.Header, "stream", map[string]any{"name": "stdout", "text": "printed\n"})
				f.publish(m.Header, "stream", map[string]any{"name": "stderr", "text": "warned\n"})
				continue
			case "value":
				f.publish(m.Header, "execute_result", map[string]any{"data": map[string]any{"text/plain": "42"}})
				continue
			case "idle":
				f.publish(m.Header, "status", map[string]any{"execution_state": "idle"})
				continue
			case "ok":
				values := map[string]any{}
				for name := range content.Expressions {
					values[name] = map[string]any{"status": "ok", "data": map[string]any{"text/plain": "'" + name + "'"}}
				}
				if _, ok := values["bad"]; ok {
					values["bad"] = map[string]any{"status": "error", "ename": "NameError", "evalue": "bad", "traceback": []string{}}
				}
				status["user_expressions"] = values
			case "error":
				status["ename"], status["evalue"] = "ZeroDivisionError", "division by zero"
				status["engine_info"] = map[string]any{"engine_uuid": engine, "engine_id": -1, "method": "execute"}
			case "lost":
				status["status"], status["ename"], status["evalue"] = "error", "EngineError", "died"
				status["engine_info"] = map[string]any{}
			case "aborted":
			default:
				f.t.Errorf("unknown word %q", word)
			}
			f.send(c, m.Idents, "execute_reply", m.Header, map[string]any{"engine": engine, "started": wire.FormatDate(time.Now())}, status)
		}
	}
	if rest, held := strings.CutPrefix(content.Code, "held"); held {
		f.mu.Lock()
		run := f.run
		f.mu.Unlock()
		run(func() { do(rest) }, &m)
		return
	}
	do(content.Code)
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func connect(t *testing.T, f *fake) *Client {
	t.Helper()
	c, err := Connect(within(t), Options{Info: &f.info})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	for _, subscribed := range []chan struct{}{f.subscribed, f.outputSubscribed} { // otherwise the client would miss messages
		select {
		case <-subscribed:
		case <-within(t).Done():
			t.Fatal("the client did not subscribe to notifications and output")
		}
	}
	return c
}
