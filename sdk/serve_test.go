package sdk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/stats"
	"google.golang.org/protobuf/proto"

	pb "github.com/ipcore/ipcore/sdk/proto/launcher/v1"
)

// plain is a launcher with only the four methods. Its workload is a key in a table that
// all launchers of a test share.
type plain struct {
	world *world
	key   string
}

type world struct {
	mu      sync.Mutex
	running map[string]bool
	start   func(StartRequest) error
	got     []StartRequest
}

func (w *world) set(key string, running bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running[key] = running
}

func (p *plain) Start(_ context.Context, r StartRequest) error {
	p.world.mu.Lock()
	p.world.got = append(p.world.got, r)
	p.world.mu.Unlock()
	if p.world.start != nil {
		if err := p.world.start(r); err != nil {
			return err
		}
	}
	p.key = r.ID
	p.world.set(p.key, true)
	return nil
}

func (p *plain) Stop(context.Context) error { p.world.set(p.key, false); return nil }

func (p *plain) ToDict(context.Context) (State, error) {
	if p.key == "no state" {
		return nil, errors.New("the state is lost")
	}
	return NewState(map[string]string{"key": p.key})
}

func (p *plain) FromDict(_ context.Context, s State) error {
	var st struct{ Key string }
	if err := s.Decode(&st); err != nil {
		return err
	}
	p.world.mu.Lock()
	defer p.world.mu.Unlock()
	if !p.world.running[st.Key] {
		return ErrNotRunning
	}
	p.key = st.Key
	return nil
}

// full is a launcher with the capabilities of one workload.
type full struct {
	plain
	host Host
	exit chan Exit
}

func (f *full) Wait(ctx context.Context) (Exit, error) {
	select {
	case e := <-f.exit:
		return e, nil
	case <-ctx.Done():
		return Exit{}, ctx.Err()
	}
}
func (f *full) Stop(context.Context) error                   { f.exit <- Exit{Code: 3, Output: "bye"}; return nil }
func (f *full) Signal(context.Context, string) error         { panic("in Signal") }
func (f *full) Output(context.Context, bool) (string, error) { return "out \xff", nil }
func (f *full) Status(context.Context) (Status, error) {
	return Status{State: StatusRunning, Text: "r", Running: new(2)}, nil
}
func (f *full) ConnectionInfo(context.Context) (ConnectionInfo, error) {
	return ConnectionInfo{Client: []byte(`{"a":1}`), Engine: []byte(`{"b":2}`)}, nil
}

var plainInfo = Info{Name: "plain", Version: "1", Kinds: []Kind{Engine}, PollEvery: 10 * time.Millisecond,
	Options: []Option{{Name: "colour", Type: "string", Help: "of the engines"}}}

func serveTest(t *testing.T, info Info, launcher Factory) *Client {
	t.Helper()
	s, err := ServeTest(info, launcher, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	conn, err := grpc.NewClient("unix:"+s.Address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return NewClient(conn)
}

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func allEvents(t *testing.T, c *Client, id string) (kinds []EventKind, last Event) {
	t.Helper()
	err := c.Events(testContext(t), id, 0, func(e Event) error {
		kinds, last = append(kinds, e.Kind), e
		return nil
	})
	if err != nil {
		t.Fatalf("events: %v", err)
	}
	return kinds, last
}

// The workload of a launcher without Wait is polled, and its end is reported.
func TestLauncherWithoutWait(t *testing.T) {
	w := &world{running: make(map[string]bool)}
	c := serveTest(t, plainInfo, func(Kind, Host) Launcher { return &plain{world: w} })
	ctx := testContext(t)
	if _, err := c.Start(ctx, StartRequest{Kind: Engine, ID: "a", Command: []string{"x"}}); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(50*time.Millisecond, func() { w.set("a", false) })
	kinds, last := allEvents(t, c, "a")
	if !slices.Equal(kinds, []EventKind{EventRunning, EventStopped}) || last.Exit.Code != -1 {
		t.Errorf("events %v, last %+v", kinds, last)
	}
}

func TestRequestCrossesTheWire(t *testing.T) {
	w := &world{running: make(map[string]bool)}
	c := serveTest(t, plainInfo, func(Kind, Host) Launcher { return &plain{world: w} })
	want := StartRequest{
		Kind: Engine, ID: "a", N: new(7), ProfileDir: "/p", ClusterID: "c", Command: []string{"prog", "an arg", ""},
		Env: map[string]string{"A": "b=c"}, WorkDir: "/w", LogDir: "/l", Options: []byte(`{"colour": "blue"}`),
	}
	if _, err := c.Start(testContext(t), want); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(w.got[0], want) {
		t.Errorf("got %+v\nwant %+v", w.got[0], want)
	}
	want.ID, want.N, want.LogDir = "b", nil, ""
	if _, err := c.Start(testContext(t), want); err != nil {
		t.Fatal(err)
	}
	if want.LogDir = "/p/log"; !reflect.DeepEqual(w.got[1], want) {
		t.Errorf("got %+v\nwant %+v", w.got[1], want)
	}
}

// stuck is a launcher whose workload does not end.
type stuck struct{ plain }

func (s *stuck) Stop(ctx context.Context) error {
	<-ctx.Done()
	return fmt.Errorf("job 7 still exists: %w", ctx.Err())
}

// The error of a launcher whose Stop takes too long reaches the host.
func TestStopThatDoesNotEnd(t *testing.T) {
	t.Parallel() // it waits
	c := serveTest(t, plainInfo, func(Kind, Host) Launcher {
		return &stuck{plain{world: &world{running: make(map[string]bool)}}}
	})
	if _, err := c.Start(testContext(t), StartRequest{Kind: Engine, ID: "a", Command: []string{"x"}}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	err := c.Stop(ctx, "a")
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "job 7 still exists") {
		t.Errorf("Stop: %v", err)
	}
}

// A Start that fails, panics or returns no state leaves the id free and nothing running.
func TestStartThatFails(t *testing.T) {
	w := &world{running: make(map[string]bool)}
	c := serveTest(t, plainInfo, func(Kind, Host) Launcher { return &plain{world: w} })
	ctx := testContext(t)
	r := StartRequest{Kind: Engine, ID: "no state", Command: []string{"x"}}
	if _, err := c.Start(ctx, r); err == nil || w.running["no state"] {
		t.Errorf("a workload without a state: %v, running %v", err, w.running)
	}
	r.ID = "a"
	for name, f := range map[string]func(StartRequest) error{
		"fails":  func(StartRequest) error { return errors.New("no") },
		"panics": func(StartRequest) error { panic("in Start") },
	} {
		w.start = f
		if _, err := c.Start(ctx, r); err == nil || errors.Is(err, ErrProcessState) {
			t.Errorf("Start that %s: %v", name, err)
		}
	}
	w.start = nil
	if _, err := c.Start(ctx, r); err != nil {
		t.Errorf("after the failures: %v", err)
	}
}

// slowStarter completes its Start only after the caller has given up.
type slowStarter struct {
	plain
	starting chan struct{}
	stopped  chan struct{}
}

func (h *slowStarter) Start(ctx context.Context, r StartRequest) error {
	close(h.starting)
	<-ctx.Done()
	return h.plain.Start(ctx, r)
}

func (h *slowStarter) Stop(ctx context.Context) error {
	defer close(h.stopped)
	return h.plain.Stop(ctx)
}

// A workload that was started for a caller who is gone is stopped, because nobody has its
// state.
func TestStartCanceled(t *testing.T) {
	w := &world{running: make(map[string]bool)}
	h := &slowStarter{plain: plain{world: w}, starting: make(chan struct{}), stopped: make(chan struct{})}
	c := serveTest(t, plainInfo, func(Kind, Host) Launcher { return h })
	ctx, cancel := context.WithCancel(testContext(t))
	go func() {
		<-h.starting
		cancel()
	}()
	if _, err := c.Start(ctx, StartRequest{Kind: Engine, ID: "a", Command: []string{"x"}}); !errors.Is(err, context.Canceled) {
		t.Errorf("Start: %v", err)
	}
	select {
	case <-h.stopped:
	case <-testContext(t).Done():
		t.Fatal("the workload was not stopped")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.got) != 1 || w.running["a"] {
		t.Errorf("started %d times, running %v", len(w.got), w.running)
	}
}

func TestCapabilitiesCrossTheWire(t *testing.T) {
	w := &world{running: make(map[string]bool)}
	created := make(chan *full, 8)
	c := serveTest(t, plainInfo, func(_ Kind, host Host) Launcher {
		f := &full{plain: plain{world: w}, host: host, exit: make(chan Exit, 1)}
		created <- f
		return f
	})
	<-created // created to determine its capabilities
	ctx := testContext(t)
	if _, err := c.Start(ctx, StartRequest{Kind: Engine, ID: "a", Command: []string{"x"}}); err != nil {
		t.Fatal(err)
	}
	f := <-created
	if text, err := c.Output(ctx, "a", false); err != nil || text != "out \uFFFD" {
		t.Errorf("Output: %q, %v", text, err)
	}
	if st, err := c.Status(ctx, "a"); err != nil || st.State != StatusRunning || *st.Running != 2 || st.Text != "r" {
		t.Errorf("Status: %+v, %v", st, err)
	}
	if i, err := c.ConnectionInfo(ctx, "a"); err != nil || string(i.Client) != `{"a":1}` || string(i.Engine) != `{"b":2}` {
		t.Errorf("ConnectionInfo: %+v, %v", i, err)
	}
	if err := c.Signal(ctx, "a", "INT"); err == nil || !strings.Contains(err.Error(), "in Signal") {
		t.Errorf("a panic: %v", err)
	}
	f.host.Changed(Change{Index: 4, Exit: Exit{Code: -1, Signal: "SIGKILL", Output: strings.Repeat("long line\n", 10000) + "\xfe"}})
	if err := c.Stop(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	f.host.Changed(Change{Index: 5}) // too late to be reported
	var all []Event
	if err := c.Events(ctx, "a", 1, func(e Event) error { all = append(all, e); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(all) != 2 || all[0].Index != 4 || all[0].Exit.Signal != "SIGKILL" || all[0].Exit.Code != -1 || len(all[0].Text) > maxText {
		t.Errorf("events %.300v", all)
	}
	if last := all[1]; last.Exit.Code != 3 || last.Text != "bye" || last.Index != -1 {
		t.Errorf("last %+v", last)
	}
}

func TestDescribe(t *testing.T) {
	var out, errs bytes.Buffer
	launcher := func(Kind, Host) Launcher { return &full{} }
	if code := serve(plainInfo, launcher, []string{"describe"}, &out, &errs); code != 0 || errs.Len() > 0 {
		t.Fatalf("exit %d: %s", code, &errs)
	}
	info, err := ParseInfo(out.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	want := plainInfo
	want.Protocol, want.Speaks, want.Security, want.PollEvery = []int{1}, "grpc", []string{"mtls"}, 0
	want.Capabilities = []Capability{CapabilityWait, CapabilitySignal, CapabilityOutput, CapabilityConnectionInfo, CapabilityStatus}
	if !reflect.DeepEqual(info, want) {
		t.Errorf("described %+v\nwant %+v", info, want)
	}
	for _, bad := range []Info{{}, {Name: "Bad Name", Kinds: []Kind{Engine}}, {Name: "a"}} {
		out.Reset()
		if code := serve(bad, launcher, []string{"describe"}, &out, &errs); code == 0 || out.Len() > 0 {
			t.Errorf("%+v: exit %d, %q", bad, code, &out)
		}
	}
}

func TestParseInfo(t *testing.T) {
	info, err := ParseInfo([]byte(`{"name":"a","kinds":["engine","teapot"],"protocol":[2,1],"more":{"x":1}}`))
	if err != nil || info.Speaks != "grpc" || !slices.Equal(info.Security, []string{"mtls"}) {
		t.Errorf("%+v, %v", info, err)
	}
	for _, bad := range []string{``, `{}`, `[]`, `{"name":"a"}`, `{"name":"../a","kinds":["engine"],"protocol":[1]}`, `{"name":"a","kinds":["engine"]}`} {
		if _, err := ParseInfo([]byte(bad)); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
}

// The words of early launchers are read as the ones that replaced them, and are
// not written.
func TestParseOldInfo(t *testing.T) {
	old := `{"name":"a","kinds":["engine"],"protocol":[1],"speaks":"verbs","optional":["signal","sweep"]}`
	info, err := ParseInfo([]byte(old))
	if err != nil || info.Speaks != SpeaksScript || !slices.Equal(info.Capabilities, []Capability{CapabilitySignal, CapabilityOrphans}) {
		t.Errorf("%+v, %v", info, err)
	}
	text, err := json.Marshal(info)
	if err != nil || !strings.Contains(string(text), `"speaks":"script"`) || !strings.Contains(string(text), `"capabilities":["signal","orphans"]`) {
		t.Errorf("written as %s, %v", text, err)
	}
}

func TestHostWatch(t *testing.T) {
	stopped := make(chan struct{})
	w := newHostWatch(hclog.NewNullLogger(), time.Hour)
	w.setStop(func() { close(stopped) })
	ctx := testContext(t)
	w.HandleConn(ctx, &stats.ConnBegin{})
	w.HandleConn(ctx, &stats.ConnBegin{})
	w.HandleConn(ctx, &stats.ConnEnd{})
	select {
	case <-stopped:
		t.Fatal("stopped while a connection was open")
	case <-time.After(20 * time.Millisecond):
	}
	w.HandleConn(ctx, &stats.ConnEnd{})
	<-stopped
	w.stopServer()

	never := make(chan struct{})
	w = newHostWatch(hclog.NewNullLogger(), time.Millisecond)
	w.setStop(func() { close(never) })
	<-never
}

func TestStateIsKeptAsItIs(t *testing.T) {
	type file struct {
		State State `json:"state"`
	}
	const text = `{"state":{"b":1,"a":[1.50,"x"]}}`
	var f file
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		t.Fatal(err)
	}
	if out, err := json.Marshal(f); err != nil || string(out) != text {
		t.Errorf("%s, %v", out, err)
	}
}

// FuzzStartRequest looks for requests that the plugin's side does not check.
func FuzzStartRequest(f *testing.F) {
	for _, r := range []StartRequest{
		{}, {Kind: Engine, ID: "a", N: new(3), Command: []string{"x"}, Options: []byte(`{"colour":"blue"}`)},
		{Kind: "teapot", Options: []byte("[")},
	} {
		b, err := proto.Marshal(startToWire(r))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var in pb.StartRequest
		if proto.Unmarshal(b, &in) != nil {
			return
		}
		r, err := startRequest(&in)
		if err == nil && (len(r.Command) == 0 || r.N != nil && *r.N < 1) {
			t.Errorf("accepted %+v", r)
		}
		if err := plainInfo.CheckOptions(r.Kind, r.Options); err != nil && !errors.Is(err, ErrBadOption) {
			t.Error(err)
		}
	})
}
