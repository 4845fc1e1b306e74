package heartbeat

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ipcore/ipcore/core/sockets"
)

// events collects the reports of a Monitor.
type events struct {
	mu   sync.Mutex
	list []string
}

func (e *events) add(what string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, what)
}

func (e *events) all() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.list)
}

func (e *events) want(t *testing.T, want ...string) {
	t.Helper()
	for limit := time.Now().Add(5 * time.Second); !slices.Equal(e.all(), want); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("reported %q, want %q", e.all(), want)
		}
	}
}

func newMonitor(t *testing.T, o Options) (*Monitor, *events) {
	t.Helper()
	e := &events{}
	o.Leaves = 2
	o.Ready = func(uuid string) { e.add("ready " + uuid) }
	o.Lost = func(uuid, cause string) { e.add("lost " + uuid + ": " + cause) }
	m := New(o)
	t.Cleanup(m.Close)
	return m, e
}

// run runs the monitor until the test ends.
func run(t *testing.T, m *Monitor) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestReadyInAnyOrder connects, registers and answers a ping in every order: an
// engine is ready when all of this has happened, and not before.
func TestReadyInAnyOrder(t *testing.T) {
	steps := []func(*Monitor){
		func(m *Monitor) { m.Pending("U", 3) },
		func(m *Monitor) { m.Connected(Mux, "U") },
		func(m *Monitor) { m.Connected(Task, "U") },
		func(m *Monitor) { m.Connected(Control, "U") },
		func(m *Monitor) { m.LeafConnected(1, "U") },
		func(m *Monitor) {
			m.Connected(Pong, "U")
			if !m.acceptPong("U", m.ping()) {
				panic("a recent ping was refused")
			}
		},
	}
	m, _ := newMonitor(t, Options{})
	var permute func(done, left []int)
	permute = func(done, left []int) {
		if len(left) == 0 {
			e := &events{}
			m.o.Ready = func(uuid string) { e.add("ready " + uuid) }
			m.hearts = map[string]*heart{}
			for i, step := range done {
				if len(e.all()) > 0 {
					t.Fatalf("ready after %d steps of %v", i, done)
				}
				steps[step](m)
			}
			e.want(t, "ready U")
			return
		}
		for i, step := range left {
			permute(append(slices.Clone(done), step), slices.Delete(slices.Clone(left), i, i+1))
		}
	}
	permute(nil, []int{0, 1, 2, 3, 4, 5})
}

// join makes an engine ready.
func join(m *Monitor, uuid string) {
	m.Pending(uuid, 0)
	for ch := range channels {
		m.Connected(ch, uuid)
	}
	m.LeafConnected(0, uuid)
	m.acceptPong(uuid, m.ping())
}

func leave(m *Monitor, uuid string) {
	for ch := range channels {
		m.Disconnected(ch, uuid)
	}
	m.LeafDisconnected(0, uuid)
}

func TestWrongLeafIsNotReady(t *testing.T) {
	m, e := newMonitor(t, Options{})
	join(m, "even")
	m.Pending("odd", 1)
	for ch := range channels {
		m.Connected(ch, "odd")
	}
	m.LeafConnected(0, "odd")
	m.acceptPong("odd", m.ping())
	e.want(t, "ready even")
}

func TestPongs(t *testing.T) {
	m, _ := newMonitor(t, Options{Period: time.Second})
	m.start = m.start.Add(-100 * time.Second)
	for text, want := range map[string]bool{
		string(m.ping()): true, "90": true, "88": false, "200": false, "": false, "x": false, "NaN": false,
		"-1": false, "99.99999999999999999999999999999999": false,
	} {
		if got := m.acceptPong("U", []byte(text)); got != want {
			t.Errorf("pong %q accepted: %v", text, got)
		}
	}
}

func TestMissedBeats(t *testing.T) {
	m, e := newMonitor(t, Options{MaxMisses: 3})
	join(m, "U")
	join(m, "V")
	for range 10 {
		m.beat()
		m.acceptPong("V", m.ping())
	}
	e.want(t, "ready U", "ready V", "lost U: no heartbeat for 12s")
	if len(m.hearts) != 2 {
		t.Errorf("%d hearts", len(m.hearts))
	}
	m.acceptPong("U", m.ping()) // the heart resumes; the engine stays unregistered
	m.beat()
	leave(m, "U")
	e.want(t, "ready U", "ready V", "lost U: no heartbeat for 12s")
	if len(m.hearts) != 1 {
		t.Errorf("%d hearts", len(m.hearts))
	}
}

func TestIncompleteEngineIsAnnouncedLate(t *testing.T) {
	m, e := newMonitor(t, Options{})
	m.Pending("U", 0)
	m.Connected(Pong, "U")
	for range announceAfter {
		e.want(t)
		m.acceptPong("U", m.ping())
		m.beat()
	}
	e.want(t, "ready U")
}

func TestLostConnections(t *testing.T) {
	m, e := newMonitor(t, Options{Grace: 30 * time.Millisecond})
	run(t, m)
	join(m, "gone")
	join(m, "back")
	join(m, "left")
	join(m, "partly")
	leave(m, "gone")
	leave(m, "back")
	m.Connected(Task, "back")
	leave(m, "left")
	m.Forget("left")
	m.Connected(Mux, "partly")
	leave(m, "partly")
	m.Pending("early", 7) // has not connected yet
	e.want(t, "ready gone", "ready back", "ready left", "ready partly", "lost gone: connection lost")
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, uuid := range []string{"gone", "left"} {
		if m.hearts[uuid] != nil {
			t.Errorf("%s is still known", uuid)
		}
	}
}

// TestSockets runs a Monitor with real hearts, which echo each ping.
func TestSockets(t *testing.T) {
	m, e := newMonitor(t, Options{Period: time.Hour})
	run(t, m)
	listen := func(s *sockets.Socket) string {
		t.Helper()
		port, err := s.Listen("tcp://127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("tcp://127.0.0.1:%d", port)
	}
	ping, pong := listen(m.Ping), listen(m.Pong)
	for i := range 3 {
		uuid := fmt.Sprint("U", i)
		for ch := range Pong {
			m.Connected(ch, uuid)
		}
		m.LeafConnected(0, uuid)
		out := sockets.New(sockets.Dealer, sockets.Options{Identity: []byte(uuid)})
		in := sockets.New(sockets.Sub, sockets.Options{Handler: func(_ *sockets.Conn, frames [][]byte) {
			if err := out.Send(frames...); err != nil {
				t.Error(err)
			}
		}})
		in.Subscribe(nil)
		t.Cleanup(func() { _ = in.Close(0); _ = out.Close(0) })
		m.Pending(uuid, 0)
		for s, to := range map[*sockets.Socket]string{in: ping, out: pong} {
			if err := s.Dial(to); err != nil {
				t.Fatal(err)
			}
		}
		e.want(t, []string{"ready U0", "ready U1", "ready U2"}[:i+1]...)
	}
}
