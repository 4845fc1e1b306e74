package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipcore/ipcore/core/connfile"
	"github.com/ipcore/ipcore/core/profile"
	"github.com/ipcore/ipcore/core/sockets"
	"github.com/ipcore/ipcore/core/wire"
)

func TestStartAndEnd(t *testing.T) {
	c := start(t, Options{})
	for _, line := range []string{
		"Hub listening on tcp://127.0.0.1:", " for registration.", "Hub using DB backend: 'DictDB'", "hub::created hub",
		"writing connection info to " + c.client, "writing connection info to " + c.engine,
		"task::using Python leastload Task scheduler", "Heartmonitor started", "Scheduler started [leastload]",
	} {
		for limit := time.Now().Add(10 * time.Second); !strings.Contains(c.log.String(), line); time.Sleep(time.Millisecond) {
			if time.Now().After(limit) {
				t.Fatalf("the log lacks %q", line)
			}
		}
	}
	client, err := connfile.ReadClient(c.client)
	if err != nil {
		t.Fatal(err)
	}
	engine, err := connfile.ReadEngine(c.engine)
	if err != nil {
		t.Fatal(err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if client.Interface != "tcp://127.0.0.1" || client.Location != host || client.Key == "" || client.Key != engine.Key ||
		client.Registration != engine.Registration || client.TaskScheme != "leastload" || len(engine.Broadcast) != 2 {
		t.Errorf("client file %+v, engine file %+v", client, engine)
	}
	for _, path := range []string{c.client, c.engine} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if runtime.GOOS != "windows" && info.Mode() != 0o600 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
	}
	began := time.Now()
	c.end()
	if took := time.Since(began); took > time.Second {
		t.Errorf("the shutdown took %v", took)
	}
	left, err := filepath.Glob(filepath.Join(c.dir, "security", "*"))
	hidden, err2 := filepath.Glob(filepath.Join(c.dir, "security", ".*"))
	if err := errors.Join(err, err2); err != nil || len(left)+len(hidden) > 0 {
		t.Errorf("left behind: %q %q, %v", left, hidden, err)
	}
}

func TestSecondStartIsRefused(t *testing.T) {
	c := start(t, Options{ClusterID: "x"})
	err := Run(context.Background(), Options{Profile: profile.Profile{Dir: c.dir}, ClusterID: "x"})
	if !errors.Is(err, ErrRunning) || !strings.Contains(err.Error(), c.client) {
		t.Errorf("second start: %v", err)
	}
	// Where locks don't work, the other controller is detected by its reply.
	if err := os.Remove(filepath.Join(c.dir, "security", ".ipcontroller-x.lock")); err != nil {
		t.Fatal(err)
	}
	if err := Run(context.Background(), Options{Profile: profile.Profile{Dir: c.dir}, ClusterID: "x"}); !errors.Is(err, ErrRunning) {
		t.Errorf("second start without a lock: %v", err)
	}
	if _, err := connfile.ReadClient(c.client); err != nil {
		t.Errorf("the first one's file: %v", err)
	}
	other := start(t, Options{Profile: profile.Profile{Dir: c.dir}, ClusterID: "y"})
	if other.client == c.client {
		t.Error("two clusters share a file")
	}
}

// TestStartsAtTheSameMoment checks that exactly one of many concurrent starts succeeds.
func TestStartsAtTheSameMoment(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	const n = 8
	results := make(chan error, n)
	var ready sync.WaitGroup
	ready.Add(1)
	for range n {
		go func() {
			results <- Run(ctx, Options{Profile: profile.Profile{Dir: dir}, Ready: func(string, string) { ready.Done() }})
		}()
	}
	for range n - 1 {
		if err := <-results; !errors.Is(err, ErrRunning) {
			t.Errorf("a loser ended with %v", err)
		}
	}
	ready.Wait()
	cancel()
	if err := <-results; err != nil {
		t.Errorf("the winner ended with %v", err)
	}
}

// TestStaleFiles starts a controller where a killed one has left its files.
func TestStaleFiles(t *testing.T) {
	old := start(t, Options{Reuse: true})
	dir := old.dir
	old.end()
	before, err := connfile.ReadClient(old.client)
	if err != nil {
		t.Fatal(err)
	}
	// Another program has taken the port.
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", before.Registration))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	c := start(t, Options{Profile: profile.Profile{Dir: dir}})
	now, err := connfile.ReadClient(c.client)
	if err != nil {
		t.Fatal(err)
	}
	if now.Key == before.Key || now.Registration == before.Registration {
		t.Error("the stale file was kept")
	}
}

func TestReuse(t *testing.T) {
	first := start(t, Options{Reuse: true, BroadcastDepth: 2})
	text, err := os.ReadFile(first.engine)
	if err != nil {
		t.Fatal(err)
	}
	client, err := connfile.ReadClient(first.client)
	if err != nil {
		t.Fatal(err)
	}
	first.end()
	second := start(t, Options{Profile: profile.Profile{Dir: first.dir}, Reuse: true, BroadcastDepth: 2})
	again, err := os.ReadFile(second.engine)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != string(again) {
		t.Errorf("engine file was\n%s\nis\n%s", text, again)
	}
	if !isAlive(client) {
		t.Error("the previous client file does not lead to the new controller")
	}
}

// TestPorts checks that configured ports are used in the order of the protocol.
func TestPorts(t *testing.T) {
	free := freePorts(t, 18)
	c := start(t, Options{EnginePorts: free[:3], ClientPorts: free[3:5], Ports: free[5:]})
	e, err := connfile.ReadEngine(c.engine)
	if err != nil {
		t.Fatal(err)
	}
	cl, err := connfile.ReadClient(c.client)
	if err != nil {
		t.Fatal(err)
	}
	engine, client := reusedPorts(cl, e)
	want := slices.Concat(free[:3], free[5:11])
	if !slices.Equal(engine, want) {
		t.Errorf("engines' ports %v, want %v", engine, want)
	}
	if want := slices.Concat(free[3:5], free[11:15]); !slices.Equal(client, want) {
		t.Errorf("clients' ports %v, want %v", client, want)
	}
	err = Run(context.Background(), Options{Profile: profile.Profile{Dir: t.TempDir()}, EnginePorts: free[:1]})
	if err == nil || !strings.Contains(err.Error(), fmt.Sprint(free[0])) {
		t.Errorf("a port in use: %v", err)
	}
}

func freePorts(t *testing.T, n int) (ports []int) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

func TestBadOptions(t *testing.T) {
	dir := profile.Profile{Dir: t.TempDir()}
	for name, o := range map[string]Options{
		"no profile": {},
		"scheme":     {Profile: dir, Scheme: "mine"},
		"database":   {Profile: dir, DB: "floppy"},
		"signatures": {Profile: dir, SignatureScheme: "hmac-rot13"},
		"cluster id": {Profile: dir, ClusterID: "../x"},
		"depth":      {Profile: dir, BroadcastDepth: 30},
		"port":       {Profile: dir, Ports: []int{70000}},
		"key file":   {Profile: dir, KeyFile: filepath.Join(dir.Dir, "none")},
		"address":    {Profile: dir, IP: "256.1.1.1"},
	} {
		if err := Run(context.Background(), o); err == nil {
			t.Errorf("%s: accepted", name)
		} else if left, _ := filepath.Glob(filepath.Join(dir.Dir, "security", "*")); len(left) > 0 {
			t.Errorf("%s: left %q", name, left)
		}
	}
}

func TestKeys(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("from the file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("IPP_SESSION_KEY", "from the environment")
	for want, o := range map[string]Options{
		"from the environment": {},
		"from the file":        {KeyFile: file},
		"from the option":      {KeyFile: file, Key: "from the option"},
	} {
		c, err := connfile.ReadClient(start(t, o).client)
		if err != nil {
			t.Fatal(err)
		}
		if c.Key != want {
			t.Errorf("key %q, want %q", c.Key, want)
		}
	}
}

// peer is a client that sends and receives single messages.
type peer struct {
	t       *testing.T
	session *wire.Session
	file    *connfile.Client
	got     chan wire.Message
}

func newPeer(t *testing.T, c *cluster) *peer {
	t.Helper()
	file, err := connfile.ReadClient(c.client)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := wire.NewSigner(file.SignatureScheme, file.Key)
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, file: file, got: make(chan wire.Message, 100)}
	if p.session, err = wire.NewSession("", signer, "json"); err != nil {
		t.Fatal(err)
	}
	return p
}

// dial connects to a port; received messages go to p.got.
func (p *peer) dial(port int) *sockets.Socket {
	p.t.Helper()
	s := sockets.New(sockets.Dealer, sockets.Options{Handler: func(_ *sockets.Conn, frames [][]byte) {
		m, err := p.session.Open(sockets.Retain(frames))
		if err != nil {
			p.t.Errorf("reply: %v", err)
			return
		}
		p.got <- m
	}})
	p.t.Cleanup(func() { _ = s.Close(0) })
	if err := s.Dial(p.file.URL(port)); err != nil {
		p.t.Fatal(err)
	}
	return s
}

// ask sends a request with identities in front and returns the reply.
func (p *peer) ask(s *sockets.Socket, kind string, metadata any, idents ...string) (wire.Message, wire.Header) {
	p.t.Helper()
	m, err := p.session.Message(kind, nil, metadata, struct{}{})
	if err != nil {
		p.t.Fatal(err)
	}
	for _, id := range idents {
		m.Idents = append(m.Idents, []byte(id))
	}
	if err := s.Send(m.AppendFrames(nil)...); err != nil {
		p.t.Fatal(err)
	}
	select {
	case reply := <-p.got:
		h, err := wire.PeekHeader(reply.Header)
		if err != nil {
			p.t.Fatal(err)
		}
		return reply, h
	case <-time.After(5 * time.Second):
		p.t.Fatalf("no reply to %s", kind)
		panic("unreachable")
	}
}

// TestUnknownEngine checks that a message to an engine that is not connected gets an
// error as its reply, on every relay.
func TestUnknownEngine(t *testing.T) {
	c := start(t, Options{})
	p := newPeer(t, c)
	for _, test := range []struct {
		port           int
		request, reply string
		ename          string
		metadata       map[string]any
		idents         []string
	}{
		{p.file.Mux, "apply_request", "apply_reply", "EngineError", nil, []string{"U"}},
		{p.file.Mux, "execute_request", "execute_reply", "EngineError", nil, []string{"U"}},
		{p.file.Control, "abort_request", "abort_reply", "EngineError", nil, []string{"U"}},
		{p.file.Task, "apply_request", "apply_reply", "ImpossibleDependency", map[string]any{"targets": []string{"U"}}, nil},
		{p.file.Broadcast, "apply_request", "apply_reply", "EngineError",
			map[string]any{"targets": []any{[]any{"U", 0}}, "is_broadcast": true, "is_coalescing": false}, nil},
		{p.file.Broadcast, "apply_request", "apply_reply", "EngineError",
			map[string]any{"targets": []any{[]any{"U", 0}, []any{"V", 1}}, "is_broadcast": true, "is_coalescing": true}, nil},
	} {
		if test.metadata == nil {
			test.metadata = map[string]any{}
		}
		m, h := p.ask(p.dial(test.port), test.request, test.metadata, test.idents...)
		var content struct {
			Status, Ename string
			EngineInfo    map[string]any `json:"engine_info"`
		}
		if err := json.Unmarshal(m.Content, &content); err != nil {
			t.Fatal(err)
		}
		if h.MsgType != test.reply || content.Status != "error" || content.Ename != test.ename || len(content.EngineInfo) > 0 || len(m.Idents) != len(test.idents) {
			t.Errorf("%s on %d: %s %s behind %q", test.request, test.port, h.MsgType, m.Content, m.Idents)
		}
	}
}

// TestHostileBytes sends garbage to every port while a client works.
func TestHostileBytes(t *testing.T) {
	c := start(t, Options{})
	p := newPeer(t, c)
	e, err := connfile.ReadEngine(c.engine)
	if err != nil {
		t.Fatal(err)
	}
	engines, clients := reusedPorts(p.file, e)
	all := slices.Concat(engines, clients)
	greeting := append([]byte{0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 1}, "NULL"...)
	greeting = append(greeting, make([]byte, 64-len(greeting))...)
	var hostile sync.WaitGroup
	for _, port := range all {
		for _, bytes := range [][]byte{
			{}, []byte("GET / HTTP/1.1\r\n\r\n"), greeting, append(slices.Clone(greeting), 4, 0xff, 0xff, 0xff, 0xff),
			append(slices.Clone(greeting), 6, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
		} {
			hostile.Go(func() {
				conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
				if err != nil {
					t.Error(err)
					return
				}
				t.Cleanup(func() { _ = conn.Close() }) // open until the end
				_, _ = conn.Write(bytes)               // the controller may have closed it already
			})
		}
		hostile.Go(func() {
			for _, kind := range []sockets.Kind{sockets.Dealer, sockets.Router, sockets.Pub, sockets.Sub} {
				s := sockets.New(kind, sockets.Options{Identity: []byte("mallory")})
				t.Cleanup(func() { _ = s.Close(0) })
				if err := s.Dial(fmt.Sprintf("tcp://127.0.0.1:%d", port)); err != nil {
					t.Error(err)
				}
				if kind == sockets.Dealer {
					for _, frames := range [][][]byte{
						{{}}, {[]byte("x")}, {[]byte("x"), []byte(wire.Delimiter)}, {[]byte(wire.Delimiter), {}, {}, {}, {}, {}},
						{[]byte("C"), []byte(wire.Delimiter), []byte("bad"), []byte("{}"), []byte("{}"), []byte("{}"), []byte("{}")},
						{[]byte("NaN")}, make([][]byte, 100),
					} {
						if err := s.Send(frames...); err != nil {
							t.Error(err)
						}
					}
				}
			}
		})
	}
	query := p.dial(p.file.Registration)
	for range 200 {
		if _, h := p.ask(query, "connection_request", map[string]any{}); h.MsgType != "connection_reply" {
			t.Fatalf("the reply is a %s", h.MsgType)
		}
	}
	hostile.Wait()
	p.ask(query, "connection_request", map[string]any{})
	if lines := strings.Count(c.log.String(), "message dropped"); lines > len(all) {
		t.Errorf("%d lines in the log about dropped messages", lines)
	}
}
