package controller

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ipcore/ipcore/core/connfile"
	"github.com/ipcore/ipcore/core/sockets"
	"github.com/ipcore/ipcore/core/wire"
)

// fakeEngine is an engine in this process that replies "ok" to every request.
type fakeEngine struct {
	id      int
	uuid    string
	session *wire.Session
	list    []*sockets.Socket
}

// startFakeEngine registers an engine in the order in which Python's does: its heart last.
func startFakeEngine(t testing.TB, c *cluster) *fakeEngine {
	t.Helper()
	file, err := connfile.ReadEngine(c.engine)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := wire.NewSigner(file.SignatureScheme, file.Key)
	if err != nil {
		t.Fatal(err)
	}
	e := &fakeEngine{}
	if e.session, err = wire.NewSession("", signer, "json"); err != nil {
		t.Fatal(err)
	}
	e.uuid = e.session.ID
	t.Cleanup(e.kill)
	registered := make(chan wire.Message, 1)
	register := e.dial(t, sockets.Dealer, func(_ *sockets.Conn, frames [][]byte) {
		if m, err := wire.Parse(sockets.Retain(frames)); err == nil {
			registered <- m
		}
	}, file.URL(file.Registration))
	m, err := e.session.Message("registration_request", nil, nil, map[string]string{"uuid": e.uuid})
	if err != nil {
		t.Fatal(err)
	}
	if err := register.Send(m.AppendFrames(nil)...); err != nil {
		t.Fatal(err)
	}
	select {
	case m = <-registered:
	case <-time.After(5 * time.Second):
		t.Fatal("no reply to the registration")
	}
	var reply struct {
		ID     int
		Status string
		Info   struct{ Mux int } `json:"connection_info"`
	}
	if err := json.Unmarshal(m.Content, &reply); err != nil || reply.Status != "ok" || reply.Info.Mux != file.Mux || strings.Contains(string(m.Content), file.Key) {
		t.Fatalf("registration reply %s, %v", m.Content, err)
	}
	e.id = reply.ID
	leaf := file.Broadcast[e.id%len(file.Broadcast)]
	e.dial(t, sockets.Router, e.reply, file.URL(file.Mux), file.URL(file.Task), file.URL(leaf))
	e.dial(t, sockets.Router, e.reply, file.URL(file.Control))
	pong := e.dial(t, sockets.Dealer, nil, file.URL(file.HBPong))
	e.dial(t, sockets.Sub, func(_ *sockets.Conn, frames [][]byte) { _ = pong.Send(frames...) }, file.URL(file.HBPing))
	return e
}

func (e *fakeEngine) dial(t testing.TB, kind sockets.Kind, handler func(*sockets.Conn, [][]byte), to ...string) *sockets.Socket {
	t.Helper()
	s := sockets.New(kind, sockets.Options{Identity: []byte(e.uuid), Handler: handler})
	e.list = append(e.list, s)
	if kind == sockets.Sub {
		s.Subscribe(nil)
	}
	for _, endpoint := range to {
		if err := s.Dial(endpoint); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

var replyMetadata = json.RawMessage(`{"status": "ok", "dependencies_met": true}`)

func (e *fakeEngine) reply(c *sockets.Conn, frames [][]byte) {
	m, err := e.session.Peek(frames)
	if err != nil {
		return
	}
	reply, err := e.session.Message("apply_reply", m.Header, replyMetadata, replyMetadata)
	if err != nil {
		return
	}
	reply.Idents = m.Idents
	_ = c.Enqueue(reply.AppendFrames(nil)...) // the controller may have ended
}

// kill closes all connections at once.
func (e *fakeEngine) kill() { closeSockets(e.list) }

func closeSockets(list []*sockets.Socket) {
	for _, s := range list {
		_ = s.Close(0)
	}
}

// subscribe makes p receive notifications from now on.
func (p *peer) subscribe() {
	p.t.Helper()
	s := sockets.New(sockets.Sub, sockets.Options{Handler: func(_ *sockets.Conn, frames [][]byte) {
		if m, err := p.session.Open(sockets.Retain(frames)); err == nil {
			p.got <- m
		} else {
			p.t.Errorf("notification: %v", err)
		}
	}})
	p.t.Cleanup(func() { _ = s.Close(0) })
	s.Subscribe(nil)
	if err := s.Dial(p.file.URL(p.file.Notification)); err != nil {
		p.t.Fatal(err)
	}
}

// wantNotice checks the next notification.
func (p *peer) wantNotice(kind string, e *fakeEngine) {
	p.t.Helper()
	select {
	case m := <-p.got:
		h, err := wire.PeekHeader(m.Header)
		if want := fmt.Sprintf(`{"id":%d,"uuid":"%s"}`, e.id, e.uuid); err != nil || h.MsgType != kind || strings.ReplaceAll(string(m.Content), " ", "") != want {
			p.t.Fatalf("notification %s %s, want %s %s", h.MsgType, m.Content, kind, want)
		}
	case <-time.After(5 * time.Second):
		p.t.Fatalf("no %s", kind)
	}
}

// TestRegistrationWaitsForNothing registers engines one after the other with a
// heartbeat period longer than any test.
func TestRegistrationWaitsForNothing(t *testing.T) {
	c := start(t, Options{HeartbeatPeriod: time.Hour})
	p := newPeer(t, c)
	p.subscribe()
	began := time.Now()
	const n = 20
	for range n {
		p.wantNotice("registration_notification", startFakeEngine(t, c))
	}
	if each := time.Since(began) / n; each > 100*time.Millisecond {
		t.Errorf("a registration takes %v", each)
	}
}

// TestLateSubscriber checks that a subscriber receives the notifications of the
// moments before it subscribed.
func TestLateSubscriber(t *testing.T) {
	c := start(t, Options{})
	first := newPeer(t, c)
	first.subscribe()
	e := startFakeEngine(t, c)
	first.wantNotice("registration_notification", e)
	e.kill()
	began := time.Now()
	first.wantNotice("unregistration_notification", e)
	if took := time.Since(began); took < 500*time.Millisecond || took > 3*time.Second {
		t.Errorf("the engine was lost %v after its connections", took)
	}
	second := newPeer(t, c)
	second.subscribe()
	second.wantNotice("registration_notification", e)
	second.wantNotice("unregistration_notification", e)
	if _, h := first.ask(first.dial(first.file.Registration), "connection_request", map[string]any{}); h.MsgType != "connection_reply" {
		t.Error("the first subscriber received a notification twice")
	}
}

// BenchmarkController sends tasks through a whole controller, over TCP, with engines
// and client in the same process: 4 message hops a task and all the records.
func BenchmarkController(b *testing.B) {
	for _, queue := range []string{"task", "mux"} {
		b.Run(queue, func(b *testing.B) { benchmarkController(b, queue) })
	}
}

func benchmarkController(b *testing.B, queue string) {
	c := start(b, Options{HWM: 16})
	var engines []*fakeEngine
	for range 4 {
		engines = append(engines, startFakeEngine(b, c))
	}
	file, err := connfile.ReadClient(c.client)
	if err != nil {
		b.Fatal(err)
	}
	client := engines[0].session
	const window = 256
	replies := make(chan struct{}, window)
	s := sockets.New(sockets.Dealer, sockets.Options{Handler: func(*sockets.Conn, [][]byte) { replies <- struct{}{} }})
	b.Cleanup(func() { _ = s.Close(0) })
	port := map[string]int{"task": file.Task, "mux": file.Mux}[queue]
	if err := s.Dial(file.URL(port)); err != nil {
		b.Fatal(err)
	}
	until(b, func() bool { return strings.Count(c.log.String(), "finished registering") == len(engines) })
	meta := json.RawMessage(`{"after": [], "follow": [], "timeout": null, "targets": [], "retries": 0}`)
	for i := range window { // fill the window
		replies <- struct{}{}
		_ = i
	}
	b.ResetTimer()
	for i := range b.N {
		<-replies
		m, err := client.Message("apply_request", nil, meta, struct{}{})
		if err != nil {
			b.Fatal(err)
		}
		if queue == "mux" {
			m.Idents = [][]byte{[]byte(engines[i%len(engines)].uuid)}
		}
		if err := s.Send(m.AppendFrames(nil)...); err != nil {
			b.Fatal(err)
		}
	}
	for range window {
		<-replies
	}
}

func until(t testing.TB, condition func() bool) {
	t.Helper()
	for limit := time.Now().Add(10 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("the condition was not met in time")
		}
	}
}

// TestTasksAndEngineLoss runs tasks on engines, some of which are killed.
func TestTasksAndEngineLoss(t *testing.T) {
	c := start(t, Options{})
	p := newPeer(t, c)
	p.subscribe()
	var engines []*fakeEngine
	for range 3 {
		e := startFakeEngine(t, c)
		p.wantNotice("registration_notification", e)
		engines = append(engines, e)
	}
	task := p.dial(p.file.Task)
	var used []string
	for range 30 {
		m, h := p.ask(task, "apply_request", map[string]any{})
		if h.MsgType != "apply_reply" || len(m.Idents) != 1 {
			t.Fatalf("reply %s behind %q", m.Header, m.Idents)
		}
		used = append(used, string(m.Idents[0]))
	}
	for _, e := range engines {
		if !slices.Contains(used, e.uuid) {
			t.Errorf("engine %d was never used", e.id)
		}
	}
	for _, e := range engines[:2] {
		e.kill()
		p.wantNotice("unregistration_notification", e)
	}
	for range 10 {
		if m, _ := p.ask(task, "apply_request", map[string]any{}); string(m.Idents[0]) != engines[2].uuid {
			t.Fatalf("reply from %q", m.Idents)
		}
	}
}
