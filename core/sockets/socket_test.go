package sockets

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

const timeout = 10 * time.Second

// message is a message that a recorder's Handler got.
type message struct {
	from   *Conn
	frames [][]byte
}

// recorder collects the calls of a socket's callbacks.
type recorder struct {
	messages     chan message
	connected    chan *Conn
	disconnected chan *Conn
}

func newRecorder() *recorder {
	return &recorder{make(chan message, 4096), make(chan *Conn, 4096), make(chan *Conn, 4096)}
}

// options returns Options whose callbacks feed r.
func (r *recorder) options() Options {
	return Options{
		Handler:      func(c *Conn, f [][]byte) { r.messages <- message{c, Retain(f)} },
		Connected:    func(c *Conn) { r.connected <- c },
		Disconnected: func(c *Conn, _ error) { r.disconnected <- c },
	}
}

// await returns the next value, or fails the test.
func await[T any](t *testing.T, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(timeout):
		t.Fatalf("no %s within %s", what, timeout)
		panic("not reached")
	}
}

// open returns a socket that is closed at the end of the test.
func open(t testing.TB, kind Kind, o Options) *Socket {
	s := New(kind, o)
	t.Cleanup(func() { _ = s.Close(0) })
	return s
}

// listen binds s to a free port and returns the endpoint.
func listen(t testing.TB, s *Socket) string {
	t.Helper()
	port, err := s.Listen("tcp://127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("tcp://127.0.0.1:%d", port)
}

func dial(t testing.TB, s *Socket, endpoint string) {
	t.Helper()
	if err := s.Dial(endpoint); err != nil {
		t.Fatal(err)
	}
}

func frames(parts ...string) [][]byte {
	f := make([][]byte, len(parts))
	for i, p := range parts {
		f[i] = []byte(p)
	}
	return f
}

func wantFrames(t *testing.T, got, want [][]byte) {
	t.Helper()
	if !slices.EqualFunc(got, want, bytes.Equal) {
		t.Fatalf("got %d frames %.80q, want %d frames %.80q", len(got), got, len(want), want)
	}
}

func echo(c *Conn, f [][]byte) { _ = c.Enqueue(f...) }

func TestRouterAnswersDealer(t *testing.T) {
	router := open(t, Router, Options{Handler: echo})
	r := newRecorder()
	o := r.options()
	o.Identity = []byte("engine-1")
	dealer := open(t, Dealer, o)
	dial(t, dealer, listen(t, router))
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // 4 MiB
	for _, m := range [][][]byte{
		frames("hello"), frames("", "", ""), frames("a", string(big), "z", string(big[:70000]), ""),
		frames(string(big[:255]), string(big[:256]), string(big[:40000]), string(big[:40000])),
	} {
		if err := dealer.Send(m...); err != nil {
			t.Fatal(err)
		}
		wantFrames(t, await(t, r.messages, "echo").frames, m)
	}
	if c := router.Lookup([]byte("engine-1")); c == nil || string(c.Identity()) != "engine-1" {
		t.Fatalf("Lookup: %v", c)
	}
	if err := router.SendTo([]byte("nobody"), []byte("x")); !errors.Is(err, ErrNoPeer) {
		t.Fatalf("SendTo to an unknown identity: %v", err)
	}
}

func TestRouterDialsRouters(t *testing.T) {
	engine := newRecorder()
	o := engine.options()
	o.Identity = []byte("engine")
	shell := open(t, Router, o)
	var queues []*Socket
	got := newRecorder()
	for _, id := range []string{"mux_out", "task_out"} {
		o := got.options()
		o.Identity = []byte(id)
		q := open(t, Router, o)
		queues = append(queues, q)
		dial(t, shell, listen(t, q))
	}
	for range queues {
		await(t, engine.connected, "connection to the queues")
		await(t, got.connected, "connection from the engine")
	}
	for _, q := range queues {
		if err := q.SendTo([]byte("engine"), frames("client", "work")...); err != nil {
			t.Fatal(err)
		}
		m := await(t, engine.messages, "request")
		wantFrames(t, m.frames, frames("client", "work"))
		if string(m.from.Identity()) != string(q.o.Identity) {
			t.Fatalf("request came from %q", m.from.Identity())
		}
		if err := shell.SendTo(m.from.Identity(), frames("client", "done")...); err != nil {
			t.Fatal(err)
		}
		wantFrames(t, await(t, got.messages, "reply").frames, frames("client", "done"))
	}
}

func TestSubscriptions(t *testing.T) {
	subscribed := make(chan string, 10)
	var subscriber *Conn // set before a value is sent to subscribed
	pub := open(t, Pub, Options{Subscribed: func(c *Conn, topic []byte, on bool) {
		subscriber = c
		subscribed <- fmt.Sprint(string(topic), on)
	}})
	endpoint := listen(t, pub)
	r := newRecorder()
	sub := open(t, Sub, r.options())
	sub.Subscribe([]byte("engine.1"))
	dial(t, sub, endpoint)
	if got := await(t, subscribed, "subscription"); got != "engine.1true" {
		t.Fatal(got)
	}
	sub.Subscribe([]byte("x"))
	await(t, subscribed, "second subscription")
	for _, topic := range []string{"engine.2", "engine.1.stdout", "engine", "x"} {
		if err := pub.Send(frames(topic, "text")...); err != nil {
			t.Fatal(err)
		}
	}
	wantFrames(t, await(t, r.messages, "message").frames, frames("engine.1.stdout", "text"))
	wantFrames(t, await(t, r.messages, "message").frames, frames("x", "text"))
	// Conn.Send sends to one subscriber, whatever it subscribes to.
	if err := subscriber.Send([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	wantFrames(t, await(t, r.messages, "ping").frames, frames("ping"))
}

func TestDealerWaitsForItsPeer(t *testing.T) {
	first := open(t, Router, Options{})
	endpoint := listen(t, first)
	_ = first.Close(0)

	o := Options{Limits: Limits{SendQueue: 100}}
	dealer := open(t, Dealer, o)
	dial(t, dealer, endpoint)
	for i := range 5 {
		if err := dealer.Send(fmt.Appendf(nil, "message %d ....", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := dealer.Send([]byte("one too many")); !errors.Is(err, ErrFull) {
		t.Fatalf("over the mark: %v", err)
	}
	r := newRecorder()
	second := open(t, Router, r.options())
	if _, err := second.Listen(endpoint); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		wantFrames(t, await(t, r.messages, "message").frames, frames(fmt.Sprintf("message %d ....", i)))
	}
}

func TestSubscriptionsAreRepeatedAfterReconnect(t *testing.T) {
	subscribed := make(chan string, 10)
	o := Options{Subscribed: func(_ *Conn, topic []byte, _ bool) { subscribed <- string(topic) }}
	pub := New(Pub, o)
	endpoint := listen(t, pub)
	r := newRecorder()
	sub := open(t, Sub, r.options())
	sub.Subscribe(nil)
	dial(t, sub, endpoint)
	await(t, subscribed, "subscription")
	_ = pub.Close(0)
	await(t, r.disconnected, "disconnection")
	pub = open(t, Pub, o)
	if _, err := pub.Listen(endpoint); err != nil {
		t.Fatal(err)
	}
	await(t, subscribed, "repeated subscription")
	_ = pub.Send([]byte("again"))
	wantFrames(t, await(t, r.messages, "message").frames, frames("again"))
}

func TestNewestConnectionTakesTheIdentity(t *testing.T) {
	r := newRecorder()
	router := open(t, Router, r.options())
	endpoint := listen(t, router)
	one, two := newRecorder(), newRecorder()
	o := one.options()
	o.Identity = []byte("dup")
	dial(t, open(t, Dealer, o), endpoint)
	old := await(t, r.connected, "first connection")
	o = two.options()
	o.Identity = []byte("dup")
	second := open(t, Dealer, o)
	dial(t, second, endpoint)
	await(t, one.disconnected, "end of the first connection")
	if c := await(t, r.disconnected, "call of Disconnected"); c != old {
		t.Fatal("the wrong connection was closed")
	}
}
