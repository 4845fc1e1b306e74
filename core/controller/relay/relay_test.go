package relay

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/controller/monitor"
	"github.com/ipcore/ipcore/core/sockets"
	"github.com/ipcore/ipcore/core/wire"
)

// recorder is a Monitor that records its calls.
type recorder struct {
	mu    sync.Mutex
	lines []string
}

func (b *recorder) Relayed(topic monitor.Topic, engine, client []byte, msg [][]byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	line := fmt.Sprintf("%d %s", topic, engine)
	if string(msg[0]) != wire.Delimiter || len(client) == 0 && topic != monitor.IOPub {
		line += " is not valid"
	}
	b.lines = append(b.lines, line)
}

func (b *recorder) Submitted(msg [][]byte, s monitor.Submission) {
	b.Relayed(monitor.InTask, nil, []byte(s.ID), msg)
}

func (b *recorder) Answered(msg [][]byte, a monitor.Answer) {
	b.Relayed(monitor.OutTask, []byte(a.Engine), []byte(a.ID), msg)
}

func (b *recorder) Assigned(string, string) {}

// sort removes the influence of the order.
func (b *recorder) sort() {
	b.mu.Lock()
	defer b.mu.Unlock()
	slices.Sort(b.lines)
}

func (b *recorder) want(t *testing.T, lines ...string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Equal(b.lines, lines) {
		t.Errorf("the monitor recorded %q, want %q", b.lines, lines)
	}
	b.lines = nil
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

// fixture is what a relay under test needs, and its peers.
type fixture struct {
	t         testing.TB
	reports   *recorder
	session   *wire.Session // signs the peers' messages
	connected chan string   // uuids of engines as they connect
}

func newFixture(t testing.TB) (*fixture, Options) {
	f := &fixture{t: t, reports: &recorder{}, session: testSession(t, "client"), connected: make(chan string, 100)}
	return f, Options{
		Session: testSession(t, "relay"), Monitor: f.reports, Log: hclog.NewNullLogger(),
		Connected: func(uuid string) { f.connected <- uuid },
	}
}

// remote is a peer of a relay.
type remote struct {
	t testing.TB
	*sockets.Socket
	got chan [][]byte
}

// dial connects a peer to a socket of a relay.
func (f *fixture) dial(kind sockets.Kind, id string, to *sockets.Socket) *remote {
	f.t.Helper()
	port, err := to.Listen("tcp://127.0.0.1:0")
	if err != nil {
		f.t.Fatal(err)
	}
	r := &remote{t: f.t, got: make(chan [][]byte, 100)}
	r.Socket = sockets.New(kind, sockets.Options{
		Identity: []byte(id),
		Handler:  func(_ *sockets.Conn, frames [][]byte) { r.got <- sockets.Retain(frames) },
	})
	f.t.Cleanup(func() { _ = r.Close(0) })
	if kind == sockets.Sub {
		r.Subscribe(nil)
	}
	if err := r.Dial(fmt.Sprintf("tcp://127.0.0.1:%d", port)); err != nil {
		f.t.Fatal(err)
	}
	return r
}

// engine connects an engine and waits until it can be reached.
func (f *fixture) engine(uuid string, to *sockets.Socket) *remote {
	f.t.Helper()
	e := f.dial(sockets.Router, uuid, to)
	select {
	case <-f.connected:
	case <-time.After(5 * time.Second):
		f.t.Fatal("the engine does not connect")
	}
	return e
}

func (r *remote) next() [][]byte {
	r.t.Helper()
	select {
	case frames := <-r.got:
		return frames
	case <-time.After(5 * time.Second):
		r.t.Fatal("no message arrived")
		panic("unreachable")
	}
}

// message returns the next message, which has to be signed.
func (r *remote) message(s *wire.Session) wire.Message {
	r.t.Helper()
	m, err := s.Peek(r.next())
	if err != nil {
		r.t.Fatal(err)
	}
	return m
}

func (f *fixture) pack(kind string, parent []byte, metadata, content any, buffers ...[]byte) [][]byte {
	f.t.Helper()
	m, err := f.session.Message(kind, parent, metadata, content, buffers...)
	if err != nil {
		f.t.Fatal(err)
	}
	return m.AppendFrames(nil)
}

func (f *fixture) header(packed []byte) wire.Header {
	f.t.Helper()
	h, err := wire.PeekHeader(packed)
	if err != nil {
		f.t.Fatal(err)
	}
	return h
}

func idents(m wire.Message) (list []string) {
	for _, id := range m.Idents {
		list = append(list, string(id))
	}
	return list
}

func with(frames [][]byte, idents ...string) (all [][]byte) {
	for _, id := range idents {
		all = append(all, []byte(id))
	}
	return append(all, frames...)
}

func TestDirectFrames(t *testing.T) {
	for name, make := range map[string]func(Options) *Direct{"mux": NewMux, "control": NewControl} {
		t.Run(name, func(t *testing.T) {
			f, o := newFixture(t)
			d := make(o)
			t.Cleanup(func() { d.Close(0) })
			e := f.engine("U", d.Engines)
			c := f.dial(sockets.Dealer, "C", d.Clients)
			big := bytes.Repeat([]byte("x"), 3*sockets.LargeFrame)
			request := f.pack("apply_request", nil, nil, struct{}{}, []byte("small"), big)
			if err := c.Send(with(request, "U")...); err != nil {
				t.Fatal(err)
			}
			got := e.next()
			// The engine's ROUTER names the sender by its connection.
			if want := with(request, "C"); !slices.EqualFunc(got, want, bytes.Equal) {
				t.Fatalf("engine got %.60q", got)
			}
			if err := e.SendTo([]byte(name+"_out"), got...); err != nil {
				t.Fatal(err)
			}
			if got, want := c.next(), with(request, "U"); !slices.EqualFunc(got, want, bytes.Equal) {
				t.Fatalf("client got %.60q", got)
			}
			f.reports.want(t, fmt.Sprintf("%d U", d.in), fmt.Sprintf("%d U", d.out))
		})
	}
}

func TestIOPubFrames(t *testing.T) {
	f, o := newFixture(t)
	p := NewIOPub(o)
	t.Cleanup(func() { p.Close(0) })
	c := f.dial(sockets.Sub, "", p.Clients)
	e := f.dial(sockets.Pub, "U", p.Engines)
	message := with(f.pack("stream", nil, nil, struct{}{}), "engine.0.stdout")
	// A PUB socket drops messages without a subscriber, so send until one arrives.
	for {
		if err := e.Send(message...); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-c.got:
			if !slices.EqualFunc(got, message, bytes.Equal) {
				t.Fatalf("client got %.60q", got)
			}
			f.reports.mu.Lock()
			defer f.reports.mu.Unlock()
			for _, line := range f.reports.lines {
				if line != fmt.Sprintf("%d ", monitor.IOPub) {
					t.Errorf("the monitor recorded %q", line)
				}
			}
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// TestForgeriesGoNoFurther sends messages that are not signed with the key to both
// ends.
func TestForgeriesGoNoFurther(t *testing.T) {
	var log bytes.Buffer
	f, o := newFixture(t)
	o.Log = hclog.New(&hclog.LoggerOptions{Output: &log})
	d := NewMux(o)
	t.Cleanup(func() { d.Close(0) })
	e := f.engine("U", d.Engines)
	c := f.dial(sockets.Dealer, "C", d.Clients)
	good := f.pack("apply_request", nil, nil, struct{}{})
	forged := slices.Clone(good)
	forged[1] = bytes.Repeat([]byte("0"), 64)
	unsigned := slices.Clone(good)
	unsigned[1] = nil
	for _, bad := range [][][]byte{with(forged, "U"), with(unsigned, "U"), good, {[]byte("U"), []byte("junk")}, {[]byte("U")}} {
		if err := c.Send(bad...); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Send(with(good, "U")...); err != nil {
		t.Fatal(err)
	}
	if got := e.next(); !slices.EqualFunc(got, with(good, "C"), bytes.Equal) {
		t.Fatalf("engine got %q", got)
	}
	if err := e.SendTo([]byte("mux_out"), with(forged, "C")...); err != nil {
		t.Fatal(err)
	}
	if err := e.SendTo([]byte("mux_out"), with(good, "C")...); err != nil {
		t.Fatal(err)
	}
	if got := c.next(); !slices.EqualFunc(got, with(good, "U"), bytes.Equal) {
		t.Fatalf("client got %q", got)
	}
	f.reports.want(t, fmt.Sprintf("%d U", monitor.In), fmt.Sprintf("%d U", monitor.Out))
	if n := strings.Count(log.String(), "message dropped"); n != 1 || !strings.Contains(log.String(), "127.0.0.1") {
		t.Errorf("log:\n%s", &log)
	}
}

// tree is a broadcast relay with engines 0 … n-1 and a client.
type tree struct {
	*fixture
	*Broadcast
	engines []*remote
	client  *remote
}

func newTree(t *testing.T, depth, n int) *tree {
	t.Helper()
	f, o := newFixture(t)
	ignore := func(int, string) {}
	b, err := NewBroadcast(depth, LeafOptions{
		Connected:    func(_ int, uuid string) { f.connected <- uuid },
		Disconnected: ignore,
	}, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close(0) })
	tr := &tree{fixture: f, Broadcast: b}
	for i := range n {
		tr.engines = append(tr.engines, f.engine(fmt.Sprint("U", i), b.Leaves[i%len(b.Leaves)]))
	}
	tr.client = f.dial(sockets.Dealer, "C", b.Clients)
	return tr
}

// send broadcasts to the engines with these ids.
func (tr *tree) send(coalescing bool, ids ...int) wire.Header {
	tr.t.Helper()
	var targets [][]any
	for _, id := range ids {
		targets = append(targets, []any{fmt.Sprint("U", id), id})
	}
	frames := tr.pack("apply_request", nil, map[string]any{"targets": targets, "is_broadcast": true, "is_coalescing": coalescing, "label": "x"}, struct{}{}, []byte("code"))
	m, err := wire.Parse(frames)
	if err != nil {
		tr.t.Fatal(err)
	}
	if err := tr.client.Send(frames...); err != nil {
		tr.t.Fatal(err)
	}
	return tr.header(m.Header)
}

// reply replies as an engine does.
func (tr *tree) reply(id int, leaf string, request wire.Message, status string, result ...[]byte) {
	tr.t.Helper()
	meta, err := wire.PeekMetadata(request.Metadata)
	if err != nil {
		tr.t.Fatal(err)
	}
	uuid := fmt.Sprint("U", id)
	m, err := tr.session.Message("apply_reply", request.Header, map[string]any{
		"status": status, "engine": uuid, "is_broadcast": true, "is_coalescing": meta.IsCoalescing, "original_msg_id": meta.OriginalMsgID,
	}, map[string]string{"status": status, "from": uuid}, result...)
	if err != nil {
		tr.t.Fatal(err)
	}
	m.Idents = request.Idents
	if err := tr.engines[id].SendTo([]byte(leaf), m.AppendFrames(nil)...); err != nil {
		tr.t.Fatal(err)
	}
}

// path returns the leaf of an engine, and the routing ids that it sees before the
// client's.
func path(depth, id int) (leaf string, up []string) {
	bits := fmt.Sprintf("%0*b", depth+1, id%(1<<depth))
	for n := depth; n > 0; n-- {
		up = append(up, "sub_scheduler_"+bits[:n])
	}
	return "sub_scheduler_" + bits, up
}

// TestBroadcastFrames compares what engines and clients see with the protocol, on
// trees of several depths.
func TestBroadcastFrames(t *testing.T) {
	for depth := range 3 {
		for _, coalescing := range []bool{false, true} {
			t.Run(fmt.Sprint(depth, coalescing), func(t *testing.T) {
				tr := newTree(t, depth, 5)
				sent := tr.send(coalescing, 4, 0, 2, 1, 3)
				for _, id := range []int{3, 1, 0, 2, 4} {
					leaf, up := path(depth, id)
					m := tr.engines[id].message(tr.session)
					h := tr.header(m.Header)
					if want := append(up, "C"); !slices.Equal(idents(m), want) {
						t.Errorf("engine %d sees %q, want %q", id, idents(m), want)
					}
					if h.MsgID != fmt.Sprintf("%s_U%d", sent.MsgID, id) || h.Session != sent.Session || h.Date != sent.Date || h.MsgType != "apply_request" {
						t.Errorf("engine %d: header %s", id, m.Header)
					}
					meta, err := wire.PeekMetadata(m.Metadata)
					if err != nil || meta.OriginalMsgID != sent.MsgID || !meta.IsBroadcast || meta.IsCoalescing != coalescing || meta.Label != "x" ||
						!slices.Equal(meta.Targets, []string{fmt.Sprint("U", id)}) || len(m.Buffers) != 1 || string(m.Buffers[0]) != "code" {
						t.Errorf("engine %d: metadata %s, %v", id, m.Metadata, err)
					}
					tr.reply(id, leaf, m, "ok", fmt.Append(nil, "result ", id))
				}
				if coalescing {
					tr.wantOne(sent)
				} else {
					tr.wantEach(sent)
				}
				tr.reports.sort()
				tr.reports.want(t, broadcastReports(5)...)
			})
		}
	}
}

// broadcastReports returns what a recorder has after a broadcast to engines 0 …
// n-1: all requests and all replies, sorted.
func broadcastReports(n int) (lines []string) {
	for _, topic := range []monitor.Topic{monitor.InBroadcast, monitor.OutBroadcast} {
		for i := range n {
			lines = append(lines, fmt.Sprintf("%d U%d", topic, i))
		}
	}
	return lines
}

func (tr *tree) wantEach(sent wire.Header) {
	tr.t.Helper()
	var parents []string
	for range tr.engines {
		m := tr.client.message(tr.session)
		if len(m.Idents) > 0 {
			tr.t.Errorf("client sees %q", idents(m))
		}
		parents = append(parents, tr.header(m.Parent).MsgID)
	}
	slices.Sort(parents)
	for i, id := range parents {
		if want := fmt.Sprintf("%s_U%d", sent.MsgID, i); id != want {
			tr.t.Errorf("parent %s, want %s", id, want)
		}
	}
}

// wantOne expects the joined reply, with buffers and broadcast_targets in the same
// order.
func (tr *tree) wantOne(sent wire.Header) {
	tr.t.Helper()
	m := tr.client.message(tr.session)
	var meta struct {
		Status   string
		Targets  [][2]any `json:"broadcast_targets"`
		Is       bool     `json:"is_broadcast"`
		One      bool     `json:"is_coalescing"`
		Original string   `json:"original_msg_id"`
	}
	if err := json.Unmarshal(m.Metadata, &meta); err != nil {
		tr.t.Fatal(err)
	}
	if len(m.Idents) > 0 || !meta.Is || !meta.One || meta.Original != sent.MsgID || meta.Status != "ok" || len(meta.Targets) != 5 || len(m.Buffers) != 5 {
		tr.t.Fatalf("joined reply %+v behind %q", m, idents(m))
	}
	for i, target := range meta.Targets {
		if want := fmt.Sprintf("result %v", target[1]); string(m.Buffers[i]) != want || target[0] != fmt.Sprintf("U%v", target[1]) {
			tr.t.Errorf("target %v with %q", target, m.Buffers[i])
		}
	}
}

// TestCoalescingErrors checks that the first error decides, including that of an
// engine that was lost or never existed.
func TestCoalescingErrors(t *testing.T) {
	tr := newTree(t, 1, 3)
	answers := func(want, original string) {
		t.Helper()
		m := tr.client.message(tr.session)
		meta, err := wire.PeekMetadata(m.Metadata)
		if err != nil || meta.OriginalMsgID != original || meta.Status != "error" || !strings.Contains(string(m.Content), want) {
			t.Errorf("joined reply with metadata %s, content %s", m.Metadata, m.Content)
		}
	}
	sent := tr.send(true, 0, 1, 2)
	for id, status := range []string{"ok", "error", "ok"} {
		leaf, _ := path(1, id)
		tr.reply(id, leaf, tr.engines[id].message(tr.session), status)
	}
	answers(`"U1"`, sent.MsgID)

	sent = tr.send(true, 0, 1)
	leaf, _ := path(1, 0)
	tr.reply(0, leaf, tr.engines[0].message(tr.session), "ok")
	tr.engines[1].message(tr.session)
	tr.EngineDown("U2") // the broadcast does not wait for it
	tr.EngineDown("U1")
	answers("Engine b'U1' died while running task '"+sent.MsgID+"'", sent.MsgID)

	sent = tr.send(true, 0, 7)
	tr.reply(0, leaf, tr.engines[0].message(tr.session), "ok")
	answers("Engine 'U7' is not connected", sent.MsgID)
	if len(tr.waiting) > 0 {
		t.Errorf("%d broadcasts are remembered", len(tr.waiting))
	}
}

func TestClientsBroadcastsEndWithIt(t *testing.T) {
	tr := newTree(t, 0, 1)
	tr.send(true, 0)
	tr.engines[0].message(tr.session)
	if err := tr.client.Close(0); err != nil {
		t.Fatal(err)
	}
	for limit := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		tr.mu.Lock()
		n := len(tr.waiting)
		tr.mu.Unlock()
		if n == 0 {
			return
		}
		if time.Now().After(limit) {
			t.Fatal("a broadcast outlives its client")
		}
	}
}

// TestBroadcastSignsOnlyWhatIsGenuine checks that a message with a wrong signature
// is not copied, since copies are signed with the cluster's key.
func TestBroadcastSignsOnlyWhatIsGenuine(t *testing.T) {
	tr := newTree(t, 0, 1)
	forged := tr.pack("apply_request", nil, map[string]any{"targets": []any{[]any{"U0", 0}}, "is_broadcast": true}, struct{}{})
	forged[1] = bytes.Repeat([]byte("0"), 64)
	sent := tr.send(true, 0)
	request := tr.engines[0].message(tr.session)
	if err := tr.client.Send(forged...); err != nil {
		t.Fatal(err)
	}
	// A forged reply to a coalescing broadcast must be dropped as well.
	bad := request
	bad.Parent = request.Header
	bad.Signature = forged[1]
	if err := tr.engines[0].SendTo([]byte("sub_scheduler_0"), bad.AppendFrames(nil)...); err != nil {
		t.Fatal(err)
	}
	tr.reply(0, "sub_scheduler_0", request, "ok")
	m := tr.client.message(tr.session)
	if !strings.Contains(string(m.Content), `"U0"`) {
		t.Errorf("the client got %s", m.Content)
	}
	second := tr.send(false, 0)
	if h := tr.header(tr.engines[0].message(tr.session).Header); h.MsgID != second.MsgID+"_U0" {
		t.Errorf("the engine got %s after %s", h.MsgID, sent.MsgID)
	}
}

// TestDropLog checks that only the first of a host's many dropped messages is
// logged.
func TestDropLog(t *testing.T) {
	var log bytes.Buffer
	c := dropLog{log: hclog.New(&hclog.LoggerOptions{Output: &log})}
	for i := range 3000 {
		c.drop(&net.TCPAddr{IP: net.IPv4(10, 0, byte(i%2), 1), Port: i}, errors.New("bad"))
	}
	if n := strings.Count(log.String(), "\n"); n != 2 {
		t.Errorf("%d lines", n)
	}
}
