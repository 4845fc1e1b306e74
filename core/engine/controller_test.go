//go:build unix

package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/connfile"
	"github.com/ipcore/ipcore/core/engine/worker/workertest"
	"github.com/ipcore/ipcore/core/sockets"
	"github.com/ipcore/ipcore/core/wire"
)

func TestMain(m *testing.M) {
	workertest.Main()
	engineMain()
	os.Exit(m.Run())
}

const patience = 20 * time.Second

// message is a message from the engine, as the controller receives it.
type message struct {
	topic  string // iopub
	idents string // the identities, joined by spaces
	header wire.Header
	parent wire.Header
	wire.Message
}

func (m *message) String() string {
	return fmt.Sprintf("%s %s%s %s %s", m.header.MsgType, m.topic, m.idents, m.Metadata, m.Content)
}

// fake is the engine's side of a controller, in this process, that a test controls.
type fake struct {
	t       testing.TB
	info    connfile.Engine
	session *wire.Session

	registration, mux, task, leaf, control, iopub, ping, pong *sockets.Socket

	hub       chan *message // requests on registration
	replies   chan *message // on mux, task, leaf, control
	published chan *message
	pongs     chan string
	up        chan string // channels that the engine has connected to

	mu     sync.Mutex
	number int
}

const engineUUID = "11111111-222222222222222222222222"

func newController(t testing.TB) *fake {
	t.Helper()
	signer, err := wire.NewSigner("hmac-sha256", "the key")
	if err != nil {
		t.Fatal(err)
	}
	session, err := wire.NewSession("", signer, "json")
	if err != nil {
		t.Fatal(err)
	}
	c := &fake{
		t: t, session: session,
		hub: make(chan *message, 64), replies: make(chan *message, 4096), published: make(chan *message, 1<<16),
		pongs: make(chan string, 16), up: make(chan string, 64),
	}
	c.info = connfile.Engine{
		Interface: "tcp://127.0.0.1", Location: "127.0.0.1", Key: "the key",
		Pack: "json", Unpack: "json", SignatureScheme: "hmac-sha256",
	}
	c.registration = c.listen(sockets.Router, "", &c.info.Registration, c.hub)
	c.mux = c.listen(sockets.Router, "mux_out", &c.info.Mux, c.replies)
	c.task = c.listen(sockets.Router, "task_out", &c.info.Task, c.replies)
	var leaf int
	c.leaf = c.listen(sockets.Router, "sub_scheduler_0", &leaf, c.replies)
	c.info.Broadcast = []int{leaf}
	c.control = c.listen(sockets.Router, "control_out", &c.info.Control, c.replies)
	c.iopub = c.listen(sockets.Sub, "", &c.info.IOPub, c.published)
	c.iopub.Subscribe(nil)
	c.ping = c.listen(sockets.Pub, "", &c.info.HBPing, nil)
	c.pong = sockets.New(sockets.Router, sockets.Options{Handler: func(conn *sockets.Conn, frames [][]byte) {
		c.pongs <- string(conn.Identity()) + " " + string(frames[0])
	}})
	if c.info.HBPong, err = c.pong.Listen("tcp://127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.pong.Close(0) })
	return c
}

// listen opens a socket on *port, or on a free port if *port is 0.
func (c *fake) listen(kind sockets.Kind, name string, port *int, to chan *message) *sockets.Socket {
	c.t.Helper()
	s := sockets.New(kind, sockets.Options{
		Identity:  []byte(name),
		Connected: func(*sockets.Conn) { c.up <- name },
		Handler: func(_ *sockets.Conn, frames [][]byte) {
			m := &message{}
			var err error
			if m.Message, m.header, err = retainMessage(c.session, frames); err != nil {
				c.t.Errorf("message of the engine: %v", err)
				return
			}
			if string(m.Parent) != "{}" {
				if m.parent, err = wire.PeekHeader(m.Parent); err != nil {
					c.t.Errorf("parent header: %v", err)
				}
			}
			for _, id := range m.Idents {
				m.idents += " " + string(id)
			}
			if kind == sockets.Sub {
				m.topic, m.idents = string(m.Idents[0]), ""
			}
			to <- m
		},
	})
	var err error
	if *port, err = s.Listen(fmt.Sprintf("tcp://127.0.0.1:%d", *port)); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = s.Close(0) })
	return s
}

// text returns the content of the connection file.
func (c *fake) text() string {
	text, err := json.Marshal(c.info)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(text)
}

// options returns the options of an engine with a fake worker.
func (c *fake) options() Options {
	o := Options{Info: c.text(), UUID: engineUUID, command: workertest.Command(""), Timeout: patience}
	if testing.Verbose() {
		o.Log = hclog.New(&hclog.LoggerOptions{Level: hclog.Debug})
	}
	return o
}

// running is an engine that a test has started.
type running struct {
	*fake
	stop context.CancelFunc
	done chan error
}

// start starts an engine; it is stopped when the test ends.
func (c *fake) start(o Options) *running {
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{fake: c, stop: cancel, done: make(chan error, 1)}
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		r.done <- Run(ctx, o)
	}()
	c.t.Cleanup(func() {
		cancel()
		<-finished
	})
	return r
}

// ready starts an engine and registers it as number 3.
func (c *fake) ready() *running {
	c.t.Helper()
	r := c.start(c.options())
	c.admit(3)
	return r
}

// admit replies to the registration request and waits for the heartbeat.
func (c *fake) admit(id int) {
	c.t.Helper()
	m := c.request("registration_request")
	c.answerHub(m, fmt.Sprintf(`{"id": %d, "status": "ok", "hb_period": 3000}`, id))
	waiting := map[string]bool{"mux_out": true, "task_out": true, "sub_scheduler_0": true, "control_out": true}
	for len(waiting) > 0 {
		select {
		case name := <-c.up:
			delete(waiting, name)
		case <-time.After(patience):
			c.t.Fatalf("not connected: %v", waiting)
		}
	}
	c.beat()
}

// beat pings until the engine replies.
func (c *fake) beat() {
	c.t.Helper()
	c.pinged(engineUUID)
}

func (c *fake) pinged(uuid string) {
	c.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case got := <-c.pongs:
			if got != uuid+" 1.5" {
				c.t.Fatalf("pong %q", got)
			}
			return
		case <-tick.C:
			if err := c.ping.Send([]byte("1.5")); err != nil {
				c.t.Fatal(err)
			}
		case <-deadline:
			c.t.Fatal("no pong")
		}
	}
}

// request returns the next request on the registration socket.
func (c *fake) request(msgType string) *message {
	c.t.Helper()
	m := take(c.t, c.hub)
	if m.header.MsgType != msgType {
		c.t.Fatalf("got %v, want a %s", m, msgType)
	}
	return m
}

func (c *fake) answerHub(request *message, content string) {
	c.t.Helper()
	m, err := c.session.Message("registration_reply", nil, nil, json.RawMessage(content))
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.registration.SendTo([]byte(request.header.Session), m.AppendFrames(nil)...); err != nil {
		c.t.Fatal(err)
	}
}

// submit sends a request to the engine and returns its msg_id.
func (c *fake) submit(s *sockets.Socket, msgType, metadata, content string, buffers ...string) string {
	c.t.Helper()
	return c.submitTo(engineUUID, s, msgType, metadata, content, buffers...)
}

func (c *fake) submitTo(uuid string, s *sockets.Socket, msgType, metadata, content string, buffers ...string) string {
	c.t.Helper()
	c.mu.Lock()
	c.number++
	h := c.session.NewHeader(msgType)
	h.MsgID = fmt.Sprintf("request-%d", c.number)
	c.mu.Unlock()
	var raw [][]byte
	for _, b := range buffers {
		raw = append(raw, []byte(b))
	}
	m, err := c.session.MessageWith(h, nil, json.RawMessage(metadata), json.RawMessage(content), raw...)
	if err != nil {
		c.t.Fatal(err)
	}
	m.Idents = [][]byte{[]byte("client")}
	if err := s.SendTo([]byte(uuid), m.AppendFrames(nil)...); err != nil {
		c.t.Fatal(err)
	}
	return h.MsgID
}

// arrived waits until the engine has received everything sent on a socket, and has
// replied to it.
func (c *fake) arrived(s *sockets.Socket) {
	c.t.Helper()
	c.reply(c.submit(s, "kernel_info_request", "", "{}"))
}

// begun waits until a request is running.
func (c *fake) begun(id string) {
	c.t.Helper()
	for c.publication("status").parent.MsgID != id {
	}
}

func (c *fake) apply(script string, buffers ...string) string {
	c.t.Helper()
	return c.submit(c.mux, "apply_request", "", "", append([]string{script}, buffers...)...)
}

func (c *fake) execute(script, more string) string {
	c.t.Helper()
	code, err := json.Marshal(script)
	if err != nil {
		c.t.Fatal(err)
	}
	if more == "" {
		more = `"silent": false`
	}
	return c.submit(c.mux, "execute_request", "", fmt.Sprintf(`{"code": %s, "user_expressions": {}, %s}`, code, more))
}

// reply waits for the reply to a request.
func (c *fake) reply(id string) *message {
	c.t.Helper()
	m := take(c.t, c.replies)
	if m.parent.MsgID != id {
		c.t.Fatalf("got a reply to %s, want one to %s: %v", m.parent.MsgID, id, m)
	}
	return m
}

// repliesTo waits for the replies to some requests, in any order.
func (c *fake) repliesTo(ids ...string) map[string]*message {
	c.t.Helper()
	got := make(map[string]*message)
	for range ids {
		m := take(c.t, c.replies)
		got[m.parent.MsgID] = m
	}
	for _, id := range ids {
		if got[id] == nil {
			c.t.Fatalf("no reply to %s: %v", id, got)
		}
	}
	return got
}

// output returns the messages published about a request until its idle message, each as
// "type content".
func (c *fake) output(id string) []string {
	c.t.Helper()
	var all []string
	for {
		m := take(c.t, c.published)
		if m.parent.MsgID != id {
			continue
		}
		text := m.header.MsgType + " " + string(m.Content)
		if m.header.MsgType == "status" {
			text = strings.TrimSuffix(strings.TrimPrefix(string(m.Content), `{"execution_state": "`), `"}`)
		}
		all = append(all, text)
		if text == "idle" {
			return all
		}
	}
}

// published waits for a message of the given type.
func (c *fake) publication(msgType string) *message {
	c.t.Helper()
	for {
		if m := take(c.t, c.published); m.header.MsgType == msgType {
			return m
		}
	}
}

// ended waits for Run to return.
func (r *running) ended() error {
	r.t.Helper()
	select {
	case err := <-r.done:
		return err
	case <-time.After(patience):
		r.t.Fatal("the engine is still running")
	}
	panic("unreachable")
}

func take[T any](t testing.TB, c chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
	}
	panic("unreachable")
}
