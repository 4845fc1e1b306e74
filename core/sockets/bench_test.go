package sockets

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipcore/ipcore/core/sockets/curve"
)

// benchMessage returns a typical task: the engine's identity, a delimiter, a signature,
// four packed parts and two buffers.
func benchMessage(engine string) [][]byte {
	m := frames(engine, "<IDS|MSG>")
	for _, n := range []int{64, 250, 250, 100, 20, 300, 100} {
		m = append(m, make([]byte, n))
	}
	return m
}

// BenchmarkForward measures a relay of two ROUTERs between clients and echoing engines in
// this process. One operation is one message there and back: two forwards, and the work
// of the peers.
func BenchmarkForward(b *testing.B) {
	for _, n := range []struct {
		clients, engines int
		curve            bool
	}{{1, 1, false}, {1, 16, false}, {4, 16, false}, {8, 128, false}, {4, 16, true}} {
		b.Run(fmt.Sprintf("clients=%d/engines=%d/curve=%v", n.clients, n.engines, n.curve), func(b *testing.B) {
			var server, client *curve.Config
			if n.curve {
				server, client = curveConfigs()
			}
			in, out := relays(b, server)
			clientEnd, engineEnd := listen(b, in), listen(b, out)
			var ready sync.WaitGroup
			connected := func(*Conn) { ready.Done() }
			for i := range n.engines {
				ready.Add(1)
				id := fmt.Appendf(nil, "%036d", i)
				dial(b, open(b, Router, Options{Identity: id, Curve: client, Handler: echo, Connected: connected}), engineEnd)
			}
			ready.Wait()
			for i := range n.engines {
				for out.Lookup(fmt.Appendf(nil, "%036d", i)) == nil {
					runtime.Gosched()
				}
			}
			const inFlight = 128
			var left atomic.Int64
			left.Store(int64(b.N))
			var done sync.WaitGroup
			clients := make(chan *Conn, n.clients)
			for range n.clients {
				next := 0
				send := func(c *Conn, m [][]byte) {
					if left.Add(-1) < 0 {
						done.Done()
						return
					}
					next++
					m[0] = fmt.Appendf(m[0][:0], "%036d", next%n.engines)
					_ = c.Enqueue(m...)
				}
				ready.Add(1)
				dial(b, open(b, Dealer, Options{Curve: client, Handler: send, Connected: func(c *Conn) {
					clients <- c
					ready.Done()
				}}), clientEnd)
			}
			ready.Wait()
			b.ReportAllocs()
			b.ResetTimer()
			done.Add(n.clients * inFlight)
			for range n.clients {
				c, m := <-clients, benchMessage(fmt.Sprintf("%036d", 0))
				for range inFlight {
					_ = c.Enqueue(m...)
				}
			}
			FlushAll()
			done.Wait()
		})
	}
}

// BenchmarkRoundTrip measures one message at a time through the relay.
func BenchmarkRoundTrip(b *testing.B) {
	in, out := relays(b, nil)
	replies := make(chan struct{})
	dialed := make(chan *Conn, 2)
	connected := func(c *Conn) { dialed <- c }
	dial(b, open(b, Router, Options{Identity: []byte("engine"), Handler: echo, Connected: connected}), listen(b, out))
	<-dialed
	dial(b, open(b, Dealer, Options{Connected: connected, Handler: func(*Conn, [][]byte) { replies <- struct{}{} }}), listen(b, in))
	c := <-dialed
	for out.Lookup([]byte("engine")) == nil {
		runtime.Gosched()
	}
	m := benchMessage("engine")
	b.ReportAllocs()
	for b.Loop() {
		_ = c.Send(m...)
		<-replies
	}
}

// BenchmarkLarge measures large arrays through the relay.
func BenchmarkLarge(b *testing.B) {
	server, client := curveConfigs()
	for _, n := range []struct {
		size           int
		server, client *curve.Config
	}{{1 << 20, nil, nil}, {100 << 20, nil, nil}, {1 << 20, server, client}, {100 << 20, server, client}} {
		b.Run(fmt.Sprintf("%dMiB/curve=%v", n.size>>20, n.server != nil), func(b *testing.B) {
			in, out := relays(b, n.server)
			replies := make(chan struct{})
			dialed := make(chan *Conn, 2)
			connected := func(c *Conn) { dialed <- c }
			dial(b, open(b, Router, Options{Identity: []byte("engine"), Curve: n.client, Handler: echo, Connected: connected}), listen(b, out))
			<-dialed
			dial(b, open(b, Dealer, Options{Curve: n.client, Connected: connected, Handler: func(*Conn, [][]byte) { replies <- struct{}{} }}), listen(b, in))
			c := <-dialed
			for out.Lookup([]byte("engine")) == nil {
				runtime.Gosched()
			}
			array := make([]byte, n.size)
			b.SetBytes(2 * int64(n.size))
			for b.Loop() {
				_ = c.Send([]byte("engine"), array)
				<-replies
			}
		})
	}
}

// BenchmarkPublish measures one message to many subscribers.
func BenchmarkPublish(b *testing.B) {
	const subscribers = 128
	ready := make(chan struct{}, subscribers)
	pub := open(b, Pub, Options{Subscribed: func(*Conn, []byte, bool) { ready <- struct{}{} }})
	endpoint := listen(b, pub)
	var got sync.WaitGroup
	for range subscribers {
		s := open(b, Sub, Options{Handler: func(*Conn, [][]byte) { got.Done() }})
		s.Subscribe(nil)
		dial(b, s, endpoint)
	}
	for range subscribers {
		select {
		case <-ready:
		case <-time.After(timeout):
			b.Fatal("no subscription")
		}
	}
	m := [][]byte{[]byte("engine.0.stdout"), make([]byte, 500)}
	b.ReportAllocs()
	for b.Loop() {
		got.Add(subscribers)
		_ = pub.Send(m...)
		got.Wait()
	}
}
