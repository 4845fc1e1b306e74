package scheduler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/controller/monitor"
	"github.com/ipcore/ipcore/core/wire"
)

// fakePeers is a Link and a Monitor that record their calls.
type fakePeers struct {
	mu           sync.Mutex
	toEngine     chan sent
	toClient     chan sent
	reports      []string
	disconnected map[string]bool
}

type sent struct {
	engine string
	client string
	msg    [][]byte
}

func newFakePeers() *fakePeers {
	return &fakePeers{toEngine: make(chan sent, 100), toClient: make(chan sent, 100), disconnected: map[string]bool{}}
}

func (w *fakePeers) ToEngine(uuid string, client []byte, msg [][]byte) error {
	w.mu.Lock()
	disconnected := w.disconnected[uuid]
	w.mu.Unlock()
	if disconnected {
		return errors.New("not connected")
	}
	w.toEngine <- sent{uuid, string(client), msg}
	return nil
}

func (w *fakePeers) ToClient(client []byte, engine string, msg [][]byte) {
	w.toClient <- sent{engine, string(client), msg}
}

func (w *fakePeers) NoReply(client []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reports = append(w.reports, fmt.Sprintf("no reply to %s", client))
}

func (w *fakePeers) Flush() {}

func (w *fakePeers) Submitted(_ [][]byte, s monitor.Submission) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reports = append(w.reports, fmt.Sprintf("submitted %s of %s", s.ID, s.Session))
}

func (w *fakePeers) Answered(_ [][]byte, a monitor.Answer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reports = append(w.reports, fmt.Sprintf("answered %s by %s: %s", a.ID, a.Engine, a.Status))
}

func (w *fakePeers) Assigned(id, uuid string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reports = append(w.reports, fmt.Sprintf("assigned %s to %s", id, uuid))
}

func testSession(t testing.TB, id string) *wire.Session {
	t.Helper()
	signer, err := wire.NewSigner("hmac-sha256", "a key")
	if err != nil {
		t.Fatal(err)
	}
	s, err := wire.NewSession(id, signer, "json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func pack(t testing.TB, s *wire.Session, kind string, parent []byte, metadata, content any, buffers ...[]byte) [][]byte {
	t.Helper()
	m, err := s.Message(kind, parent, metadata, content, buffers...)
	if err != nil {
		t.Fatal(err)
	}
	return m.AppendFrames(nil)
}

// startScheduler runs a scheduler until the test ends.
func startScheduler(t testing.TB, w *fakePeers) *Scheduler {
	t.Helper()
	return startSchedulerWith(t, w, Options{})
}

func startSchedulerWith(t testing.TB, w *fakePeers, o Options) *Scheduler {
	t.Helper()
	o.Session, o.Link, o.Monitor, o.Log = testSession(t, "sched"), w, w, hclog.NewNullLogger()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return s
}

func next(t testing.TB, from chan sent) (sent, wire.Message) {
	t.Helper()
	select {
	case s := <-from:
		m, err := testSession(t, "x").Peek(s.msg)
		if err != nil {
			t.Fatal(err)
		}
		return s, m
	case <-time.After(5 * time.Second):
		t.Fatal("no message arrived")
		panic("unreachable")
	}
}

func TestSchedulerRoundTrip(t *testing.T) {
	w := newFakePeers()
	s := startScheduler(t, w)
	client, engine := testSession(t, "client"), testSession(t, "engine")
	s.EngineUp("U")
	request := pack(t, client, "apply_request", nil, map[string]any{"after": []string{}, "timeout": nil, "retries": 0, "targets": []string{}}, nil)
	if err := s.Submit([]byte("C"), request); err != nil {
		t.Fatal(err)
	}
	s.ProcessPending()
	to, m := next(t, w.toEngine)
	if to.engine != "U" || to.client != "C" {
		t.Fatalf("sent %+v", to)
	}
	answer := pack(t, engine, "apply_reply", m.Header, map[string]any{"status": "ok", "engine": "U"}, map[string]any{"status": "ok"})
	if err := s.Result("U", answer); err != nil {
		t.Fatal(err)
	}
	s.ProcessPending()
	to, _ = next(t, w.toClient)
	if to.engine != "U" || to.client != "C" || &to.msg[0][0] != &answer[0][0] {
		t.Fatalf("relayed %+v", to)
	}
	header, err := wire.PeekHeader(m.Header)
	if err != nil {
		t.Fatal(err)
	}
	s.EngineDown("U") // once it has been handled, the monitor has been notified of everything
	want := []string{"submitted " + header.MsgID + " of client", "assigned " + header.MsgID + " to U", "answered " + header.MsgID + " by U: ok"}
	waitFor(t, func() bool { w.mu.Lock(); defer w.mu.Unlock(); return len(w.reports) == len(want) })
	for i, topic := range w.reports {
		if topic != want[i] {
			t.Fatalf("the monitor recorded %q, want %q", w.reports, want)
		}
	}
}

// TestSubmittedTwice submits two messages with one msg_id: the second gets no reply.
func TestSubmittedTwice(t *testing.T) {
	w := newFakePeers()
	s := startScheduler(t, w)
	session := testSession(t, "client")
	h := session.NewHeader("apply_request")
	for _, content := range []string{"one", "two"} { // different bytes: the same would be a replay
		m, err := session.MessageWith(h, nil, map[string]any{}, map[string]string{"is": content})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Submit([]byte("C"), m.AppendFrames(nil)); err != nil {
			t.Fatal(err)
		}
		s.ProcessPending()
	}
	reports := func() []string { w.mu.Lock(); defer w.mu.Unlock(); return slices.Clone(w.reports) }
	waitFor(t, func() bool { return len(reports()) == 3 })
	if got := reports(); !slices.Equal(got, []string{"submitted " + h.MsgID + " of client", "submitted " + h.MsgID + " of client", "no reply to C"}) {
		t.Errorf("monitor and link recorded %q", got)
	}
}

func waitFor(t testing.TB, what func() bool) {
	t.Helper()
	for limit := time.Now().Add(5 * time.Second); !what(); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("the condition was not met in time")
		}
	}
}

func TestErrorReplies(t *testing.T) {
	w := newFakePeers()
	s := startScheduler(t, w)
	client := testSession(t, "client")
	type content struct {
		Status, Ename, Evalue string
		Traceback             []string
		EngineInfo            map[string]any `json:"engine_info"`
	}
	check := func(request [][]byte, engine, ename, evalue, metaStatus string) {
		t.Helper()
		to, m := next(t, w.toClient)
		asked, err := wire.Parse(request)
		if err != nil {
			t.Fatal(err)
		}
		header, err := wire.PeekHeader(m.Header)
		if err != nil {
			t.Fatal(err)
		}
		meta, err := wire.PeekMetadata(m.Metadata)
		if err != nil {
			t.Fatal(err)
		}
		var c content
		if err := json.Unmarshal(m.Content, &c); err != nil {
			t.Fatal(err)
		}
		if to.client != "C" || to.engine != engine || header.MsgType != "apply_reply" || header.Session != "sched" ||
			string(m.Parent) != string(asked.Header) || meta.Status != metaStatus || meta.Engine != engine {
			t.Errorf("reply %+v, header %+v, metadata %s", to, header, m.Metadata)
		}
		if c.Status != "error" || c.Ename != ename || c.Evalue != evalue || len(c.Traceback) < 2 || c.EngineInfo == nil || len(c.EngineInfo) > 0 {
			t.Errorf("content %s", m.Content)
		}
	}
	submit := func(meta map[string]any) [][]byte {
		t.Helper()
		request := pack(t, client, "apply_request", nil, meta, nil)
		if err := s.Submit([]byte("C"), request); err != nil {
			t.Fatal(err)
		}
		s.ProcessPending()
		return request
	}
	check(submit(map[string]any{"after": []string{"nobody"}}), "", "InvalidDependency", "", "")
	check(submit(map[string]any{"targets": []string{"nobody"}}), "", "ImpossibleDependency", "", "")
	check(submit(map[string]any{"timeout": 0.001}), "", "TaskTimeout", "", "")
	s.EngineUp("U")
	request := submit(map[string]any{})
	_, m := next(t, w.toEngine)
	header, err := wire.PeekHeader(m.Header)
	if err != nil {
		t.Fatal(err)
	}
	s.EngineDown("U")
	check(request, "U", "EngineError", fmt.Sprintf("Engine b'U' died while running task '%s'", header.MsgID), "error")
}

// TestEverySendIsNew retries a task on one engine. Engines drop bytes that they
// have seen, so each message has to differ from the earlier ones, and be signed.
func TestEverySendIsNew(t *testing.T) {
	w := newFakePeers()
	s := startScheduler(t, w)
	client, engine := testSession(t, "client"), testSession(t, "engine")
	s.EngineUp("U")
	request := pack(t, client, "apply_request", nil, map[string]any{"retries": 3, "label": "kept"}, nil, []byte("buffer"))
	if err := s.Submit([]byte("C"), request); err != nil {
		t.Fatal(err)
	}
	s.ProcessPending()
	seen := testSession(t, "engine") // drops messages that it has seen
	var header []byte
	for range 4 {
		to, m := next(t, w.toEngine)
		if _, err := seen.Open(to.msg); err != nil {
			t.Fatal(err)
		}
		meta, err := wire.PeekMetadata(m.Metadata)
		if err != nil || meta.Label != "kept" || len(m.Buffers) != 1 || header != nil && string(m.Header) != string(header) {
			t.Fatalf("sent %q, %v", to.msg, err)
		}
		header = m.Header
		if err := s.Result("U", pack(t, engine, "apply_reply", m.Header, map[string]any{"status": "error"}, nil)); err != nil {
			t.Fatal(err)
		}
		s.ProcessPending()
	}
	next(t, w.toClient)
}

// TestReplyBeforeLoss sends a reply and then reports the loss of its engine: the
// reply counts, however busy the scheduler is.
func TestReplyBeforeLoss(t *testing.T) {
	w := newFakePeers()
	s := startScheduler(t, w)
	client, engine := testSession(t, "client"), testSession(t, "engine")
	for i := range 50 {
		uuid := fmt.Sprint("U", i)
		s.EngineUp(uuid)
		if err := s.Submit([]byte("C"), pack(t, client, "apply_request", nil, nil, nil)); err != nil {
			t.Fatal(err)
		}
		s.ProcessPending()
		_, m := next(t, w.toEngine)
		if err := s.Result(uuid, pack(t, engine, "apply_reply", m.Header, map[string]any{"status": "ok"}, nil)); err != nil {
			t.Fatal(err)
		}
		s.ProcessPending()
		s.EngineDown(uuid)
		_, m = next(t, w.toClient)
		meta, err := wire.PeekMetadata(m.Metadata)
		if err != nil || meta.Status != "ok" {
			t.Fatalf("metadata %s, %v", m.Metadata, err)
		}
	}
}

// TestNothingIsLeftBehind submits tasks while Run is busy: each task is handled
// without waiting for another one.
func TestNothingIsLeftBehind(t *testing.T) {
	w := newFakePeers()
	s := startScheduler(t, w)
	asking, stop := context.WithCancel(t.Context())
	var asks sync.WaitGroup
	asks.Go(func() {
		for asking.Err() == nil {
			_, _ = s.Stats(asking) // it fails when the test ends
		}
	})
	defer asks.Wait()
	defer stop()
	client, engine := testSession(t, "client"), testSession(t, "engine")
	s.EngineUp("U")
	for range 2000 {
		if err := s.Submit([]byte("C"), pack(t, client, "apply_request", nil, nil, nil)); err != nil {
			t.Fatal(err)
		}
		s.ProcessPending()
		_, m := next(t, w.toEngine)
		if err := s.Result("U", pack(t, engine, "apply_reply", m.Header, map[string]any{"status": "ok"}, nil)); err != nil {
			t.Fatal(err)
		}
		s.ProcessPending()
		next(t, w.toClient)
	}
}

// TestMaxBytes checks that a client has to wait while tasks take too much memory,
// and continues when some have ended.
func TestMaxBytes(t *testing.T) {
	w := newFakePeers()
	s := startSchedulerWith(t, w, Options{MaxBytes: 3000})
	client, engine := testSession(t, "client"), testSession(t, "engine")
	const n = 10
	submitted := make(chan struct{}, n)
	go func() {
		for range n {
			if err := s.Submit([]byte("C"), pack(t, client, "apply_request", nil, nil, nil, make([]byte, 1000))); err != nil {
				t.Error(err)
			}
			s.ProcessPending()
			submitted <- struct{}{}
		}
	}()
	for range 2 {
		<-submitted
	}
	s.EngineUp("U")
	for range n {
		_, m := next(t, w.toEngine)
		if held := len(submitted); held > 3 {
			t.Errorf("%d more tasks were accepted", held)
		}
		for len(submitted) > 0 {
			<-submitted
		}
		if err := s.Result("U", pack(t, engine, "apply_reply", m.Header, map[string]any{"status": "ok"}, nil)); err != nil {
			t.Fatal(err)
		}
		s.ProcessPending()
		next(t, w.toClient)
	}
	waitFor(t, func() bool { s.memory.mu.Lock(); defer s.memory.mu.Unlock(); return s.memory.held == 0 })
}

func TestHostileTasks(t *testing.T) {
	w := newFakePeers()
	s := startScheduler(t, w)
	forged, err := wire.NewSigner("hmac-sha256", "another key")
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := wire.NewSession("stranger", forged, "json")
	if err != nil {
		t.Fatal(err)
	}
	good := testSession(t, "client")
	for name, msg := range map[string][][]byte{
		"empty":      {},
		"garbage":    {[]byte("x"), {0xff}},
		"forged":     pack(t, stranger, "apply_request", nil, nil, nil),
		"retries":    pack(t, good, "apply_request", nil, map[string]any{"retries": "many"}, nil),
		"dependency": pack(t, good, "apply_request", nil, map[string]any{"after": 7}, nil),
	} {
		if s.Submit([]byte("C"), msg) == nil {
			t.Errorf("%s: task accepted", name)
		}
		if name != "retries" && name != "dependency" && s.Result("U", msg) == nil {
			t.Errorf("%s: reply accepted", name)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.reports) > 0 {
		t.Errorf("the monitor recorded %q", w.reports)
	}
}

// discard is a Link and Monitor that do nothing.
type discard struct{ replies chan struct{} }

func (discard) ToEngine(string, []byte, [][]byte) error { return nil }
func (s discard) ToClient([]byte, string, [][]byte)     { s.replies <- struct{}{} }
func (discard) NoReply([]byte)                          {}
func (discard) Flush()                                  {}
func (discard) Submitted([][]byte, monitor.Submission)  {}
func (discard) Answered([][]byte, monitor.Answer)       {}
func (discard) Assigned(string, string)                 {}

// BenchmarkTask measures a whole task: verifying and peeking at the request and the
// reply, the decisions, and two sends, with the readers' work on the same
// goroutine.
func BenchmarkTask(b *testing.B) {
	for _, engines := range []int{4, 128, 1024} {
		b.Run(fmt.Sprint(engines), func(b *testing.B) { benchmarkTask(b, engines) })
	}
}

func benchmarkTask(b *testing.B, engines int) {
	out := discard{make(chan struct{}, 1)}
	s, err := New(Options{Session: testSession(b, "sched"), Link: out, Monitor: out, Log: hclog.NewNullLogger()})
	if err != nil {
		b.Fatal(err)
	}
	for i := range engines {
		s.machine.engineUp(fmt.Sprint("engine-", i))
	}
	client, worker := testSession(b, "client"), testSession(b, "engine")
	meta := map[string]any{"after": []string{}, "follow": []string{}, "timeout": nil, "targets": []string{}, "retries": 0, "label": nil}
	const window = 1000
	requests, replies, ids := make([][][]byte, window), make([][][]byte, window), make([]string, window)
	b.ReportAllocs()
	for done := 0; done < b.N; done += window {
		b.StopTimer()
		for i := range window {
			requests[i] = pack(b, client, "apply_request", nil, meta, nil)
			m, err := wire.Parse(requests[i])
			if err != nil {
				b.Fatal(err)
			}
			h, err := wire.PeekHeader(m.Header)
			if err != nil {
				b.Fatal(err)
			}
			ids[i] = h.MsgID
			replies[i] = pack(b, worker, "apply_reply", m.Header, map[string]any{"started": h.Date, "engine": "x", "status": "ok", "dependencies_met": true}, map[string]any{"status": "ok"})
		}
		b.StartTimer()
		for i := range window {
			if err := s.Submit([]byte("C"), requests[i]); err != nil {
				b.Fatal(err)
			}
			s.ProcessPending()
		}
		for i := range window {
			if err := s.Result(s.machine.tasks[ids[i]].engine.uuid, replies[i]); err != nil {
				b.Fatal(err)
			}
			s.ProcessPending()
			<-out.replies
		}
	}
}
