package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/controller/db"
	"github.com/ipcore/ipcore/core/controller/db/dictdb"
	"github.com/ipcore/ipcore/core/controller/monitor"
	"github.com/ipcore/ipcore/core/wire"
)

const testKey = "0123-4567"

// waitLimit is how long a test waits for something that must happen.
const waitLimit = 10 * time.Second

// fixture is a running hub with fakes around it.
type fixture struct {
	t             testing.TB
	hub           *Hub
	client        *wire.Session // signs requests
	log           *logBuffer
	replies       chan hubMessage
	notifications chan hubMessage
	resubmitted   chan [][]byte
	events        chan string // calls of the controller's functions
	stop          func()
}

// hubMessage is a message that the hub sent.
type hubMessage struct {
	peer    string
	header  wire.Header
	parent  string // msg_id
	content map[string]any
	raw     string
	buffers [][]byte
}

// logBuffer is a log that can be read while it is written.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newSession(t testing.TB, id, key string) *wire.Session {
	t.Helper()
	signer, err := wire.NewSigner("hmac-sha256", key)
	if err != nil {
		t.Fatal(err)
	}
	s, err := wire.NewSession(id, signer, "json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// start runs a hub. change may change its options.
func start(t testing.TB, key string, change func(*Options)) *fixture {
	t.Helper()
	store, err := dictdb.New(dictdb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{
		t:             t,
		client:        newSession(t, "client", key),
		log:           &logBuffer{},
		replies:       make(chan hubMessage, 1000),
		notifications: make(chan hubMessage, 1000),
		resubmitted:   make(chan [][]byte, 1000),
		events:        make(chan string, 1000),
	}
	o := Options{
		Log:            hclog.New(&hclog.LoggerOptions{Output: f.log, Level: hclog.Info}),
		Session:        newSession(t, "hub", key),
		DB:             store,
		ConnectionInfo: json.RawMessage(`{"interface": "tcp://127.0.0.1"}`),
		Reply: func(peer []byte, frames [][]byte) error {
			f.replies <- f.decode(string(peer), frames)
			return nil
		},
		Notify:       func(frames [][]byte) { f.notifications <- f.decode("", frames) },
		Resubmit:     func(frames [][]byte) { f.resubmitted <- frames },
		Pending:      func(id int, uuid string) { f.events <- fmt.Sprint("pending ", id, " ", uuid) },
		Abandoned:    func(id int, uuid, _ string) { f.events <- fmt.Sprint("abandoned ", id, " ", uuid) },
		Registered:   func(id int, uuid string) { f.events <- fmt.Sprint("registered ", id, " ", uuid) },
		Unregistered: func(id int, uuid, _ string) { f.events <- fmt.Sprint("unregistered ", id, " ", uuid) },
		Shutdown:     func() { f.events <- "shutdown" },
	}
	if change != nil {
		change(&o)
	}
	f.hub, err = New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.hub.Run(ctx) }()
	f.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(f.stop)
	return f
}

func (f *fixture) decode(peer string, frames [][]byte) hubMessage {
	m, err := f.client.Peek(frames)
	if err != nil {
		f.t.Errorf("message of the hub: %v", err)
		return hubMessage{}
	}
	s := hubMessage{peer: peer, raw: string(m.Content), buffers: m.Buffers}
	if s.header, err = wire.PeekHeader(m.Header); err != nil {
		f.t.Error(err)
	}
	parent, err := wire.PeekHeader(m.Parent)
	if err != nil {
		f.t.Error(err)
	}
	s.parent = parent.MsgID
	if err := json.Unmarshal(m.Content, &s.content); err != nil {
		f.t.Errorf("content of %s: %v: %s", s.header.MsgType, err, m.Content)
	}
	return s
}

func receive[T any](f *fixture, what string, c <-chan T) T {
	f.t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(waitLimit):
		f.t.Fatalf("no %s; log:\n%s", what, f.log)
		panic("unreachable")
	}
}

// message returns a client's message and its id.
func (f *fixture) message(msgType, content string, buffers ...[]byte) ([][]byte, string) {
	f.t.Helper()
	h := f.client.NewHeader(msgType)
	m, err := f.client.MessageWith(h, nil, nil, json.RawMessage(content), buffers...)
	if err != nil {
		f.t.Fatal(err)
	}
	return m.AppendFrames(nil), h.MsgID
}

// ask sends a request and returns the reply.
func (f *fixture) ask(msgType, content string) hubMessage {
	f.t.Helper()
	frames, id := f.message(msgType, content)
	f.hub.Request([]byte("peer"), "1.2.3.4:5", frames)
	s := receive(f, "reply to "+msgType, f.replies)
	if s.parent != id && msgType != "registration_request" {
		f.t.Errorf("%s: the reply's parent is %q, want %q", msgType, s.parent, id)
	}
	if s.peer != "peer" {
		f.t.Errorf("%s: the reply was sent to %q", msgType, s.peer)
	}
	return s
}

// expect sends a request and compares the content of the reply.
func (f *fixture) expect(msgType, content, replyType, want string) {
	f.t.Helper()
	s := f.ask(msgType, content)
	if s.header.MsgType != replyType {
		f.t.Errorf("%s %s: reply %s %s, want %s", msgType, content, s.header.MsgType, s.raw, replyType)
		return
	}
	var expected map[string]any
	if err := json.Unmarshal([]byte(want), &expected); err != nil {
		f.t.Fatalf("%s: %v", want, err)
	}
	if !reflect.DeepEqual(s.content, expected) {
		f.t.Errorf("%s %s:\n got %s\nwant %s", msgType, content, s.raw, want)
	}
}

// fails sends a request and compares the error of the reply.
func (f *fixture) fails(msgType, content, replyType, ename, evalue string) {
	f.t.Helper()
	s := f.ask(msgType, content)
	if s.header.MsgType != replyType || s.content["status"] != "error" || s.content["ename"] != ename || s.content["evalue"] != evalue {
		f.t.Errorf("%s %s: reply %s %s, want %s of %s: %s", msgType, content, s.header.MsgType, s.raw, replyType, ename, evalue)
	}
	if info, ok := s.content["engine_info"].(map[string]any); !ok || len(info) != 0 {
		f.t.Errorf("%s: engine_info %v, want {}", msgType, s.content["engine_info"])
	}
	if lines, ok := s.content["traceback"].([]any); !ok || len(lines) == 0 {
		f.t.Errorf("%s: no traceback", msgType)
	}
}

func (f *fixture) wantEvent(want string) {
	f.t.Helper()
	if got := receive(f, want, f.events); got != want {
		f.t.Fatalf("%s, want %s", got, want)
	}
}

func (f *fixture) wantNotification(msgType, want string) {
	f.t.Helper()
	s := receive(f, msgType, f.notifications)
	if got := strings.ReplaceAll(s.raw, " ", ""); s.header.MsgType != msgType || got != want {
		f.t.Fatalf("notification %s %s, want %s %s", s.header.MsgType, s.raw, msgType, want)
	}
}

// engine registers an engine and waits until it is announced.
func (f *fixture) engine(id int, uuid string) {
	f.t.Helper()
	s := f.ask("registration_request", fmt.Sprintf(`{"uuid": %q}`, uuid))
	if s.content["id"] != float64(id) {
		f.t.Fatalf("engine %s: %s, want id %d", uuid, s.raw, id)
	}
	f.wantEvent(fmt.Sprint("pending ", id, " ", uuid))
	f.hub.Ready(uuid)
	f.wantEvent(fmt.Sprint("registered ", id, " ", uuid))
	f.wantNotification("registration_notification", fmt.Sprintf(`{"id":%d,"uuid":%q}`, id, uuid))
}

// direct relays a direct request to an engine and returns its id and header.
func (f *fixture) direct(uuid string, buffers ...[]byte) (string, []byte) {
	f.t.Helper()
	frames, id := f.message("apply_request", `{}`, buffers...)
	f.hub.Relayed(monitor.In, []byte(uuid), []byte("c"), frames)
	return id, frames[2]
}

// task relays a task and returns its id and header.
func (f *fixture) task(buffers ...[]byte) (string, []byte) {
	f.t.Helper()
	frames, id := f.message("apply_request", `{}`, buffers...)
	f.hub.Relayed(monitor.InTask, nil, []byte("c"), frames)
	return id, frames[2]
}

// answer relays an engine's reply to a request.
func (f *fixture) answer(topic monitor.Topic, uuid string, parent []byte, status string, buffers ...[]byte) {
	f.t.Helper()
	engine := newSession(f.t, uuid, testKey)
	metadata := fmt.Sprintf(`{"started": %q, "dependencies_met": true, "engine": %q, "status": %q}`, wire.FormatDate(time.Now()), uuid, status)
	m, err := engine.Message("apply_reply", parent, json.RawMessage(metadata), json.RawMessage(fmt.Sprintf(`{"status": %q}`, status)), buffers...)
	if err != nil {
		f.t.Fatal(err)
	}
	f.hub.Relayed(topic, []byte(uuid), []byte("c"), m.AppendFrames(nil))
}

// publish relays an engine's output.
func (f *fixture) publish(uuid string, parent []byte, msgType, content string) {
	f.t.Helper()
	m, err := newSession(f.t, uuid, testKey).Message(msgType, parent, nil, json.RawMessage(content))
	if err != nil {
		f.t.Fatal(err)
	}
	f.hub.Relayed(monitor.IOPub, []byte(uuid), nil, m.AppendFrames(nil))
}

// record returns a task's record as clients see it.
func (f *fixture) record(id string) map[string]any {
	f.t.Helper()
	s := f.ask("db_request", fmt.Sprintf(`{"query": {"msg_id": %q}}`, id))
	records, _ := s.content["records"].([]any)
	if len(records) != 1 {
		f.t.Fatalf("records of %s: %s", id, s.raw)
	}
	return records[0].(map[string]any)
}

var _ db.DB = (*dictdb.DB)(nil)
