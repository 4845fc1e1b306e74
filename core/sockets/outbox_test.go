package sockets

import (
	"bytes"
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"github.com/ipcore/ipcore/core/sockets/curve"
	"github.com/ipcore/ipcore/core/sockets/zmtp"
)

// Many goroutines send to one peer that reads slowly, so that writes end anywhere in a
// message. Messages must arrive whole, and those of each sender in order.
func TestConcurrentSenders(t *testing.T) {
	eachMechanism(t, func(t *testing.T, server, client *curve.Config) {
		const senders, each = 8, 150
		sizes := []int{0, 10, 255, 256, 5000, chunkSize - 1, chunkSize + 1, LargeFrame - 1, LargeFrame, 300_000}
		var mu sync.Mutex
		next := make([]uint32, senders)
		var all sync.WaitGroup
		all.Add(senders * each)
		received := 0
		router := open(t, Router, Options{Curve: server, Handler: func(_ *Conn, f [][]byte) {
			defer all.Done()
			mu.Lock()
			defer mu.Unlock()
			if received++; received%100 == 0 {
				time.Sleep(time.Millisecond) // the slow reader that the test is about
			}
			who, n := f[0][0], binary.BigEndian.Uint32(f[0][1:])
			if n != next[who] {
				t.Errorf("sender %d: got message %d, want %d", who, n, next[who])
			}
			next[who] = n + 1
			size := sizes[int(n)%len(sizes)]
			if len(f) != 3 || len(f[1]) != size || len(f[2]) != 1 || !bytes.Equal(f[1], bytes.Repeat([]byte{who}, size)) {
				t.Errorf("sender %d: message %d is damaged", who, n)
			}
		}})
		r := newRecorder()
		o := r.options()
		o.Curve = client
		dealer := open(t, Dealer, o)
		dial(t, dealer, listen(t, router))
		c := await(t, r.connected, "connection")
		for who := range byte(senders) {
			go func() {
				for n := range uint32(each) {
					head := binary.BigEndian.AppendUint32([]byte{who}, n)
					body := bytes.Repeat([]byte{who}, sizes[int(n)%len(sizes)])
					var err error
					switch n % 3 {
					case 0:
						err = dealer.Send(head, body, []byte{1})
					case 1:
						err = c.Send(head, body, []byte{2})
					default:
						if err = c.Enqueue(head, body, []byte{3}); n == each-1 || n%2 == 0 {
							FlushAll()
						}
					}
					if err != nil {
						t.Error(err)
					}
				}
				FlushAll()
			}()
		}
		done := make(chan struct{})
		go func() { all.Wait(); close(done) }()
		select {
		case <-done:
		case <-time.After(timeout):
			mu.Lock()
			t.Fatalf("%d of %d messages arrived", received, senders*each)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.out.bytes != 0 {
			t.Errorf("%d bytes are counted as queued", c.out.bytes)
		}
	})
}

// A connection may end at any moment of a write. Its queued bytes must not stay counted.
func TestConnectionsThatEndWhileWritten(t *testing.T) {
	eachMechanism(t, func(t *testing.T, server, client *curve.Config) {
		r := newRecorder()
		o := r.options()
		o.Curve = server
		router := open(t, Router, o)
		endpoint := listen(t, router)
		for i := range 30 {
			p := rawDial(t, endpoint)
			if client == nil {
				p.handshake(Dealer, "")
			} else {
				p.curveHandshake(client, Dealer, "")
			}
			c := await(t, r.connected, "connection")
			var writers sync.WaitGroup
			for range 3 {
				writers.Go(func() {
					for range 20 {
						_ = c.Send(make([]byte, 40<<10), make([]byte, 100<<10))
					}
				})
			}
			switch i % 3 {
			case 0:
				_ = p.SetLinger(0) // Close resets the connection
				_ = p.Close()
			case 1:
				c.Close()
			default:
				_ = p.Close()
			}
			await(t, r.disconnected, "end of the connection")
			writers.Wait()
		}
		_ = router.Close(0)
		for deadline := time.Now().Add(timeout); queuedTotal.Load() != 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%d bytes are still counted as queued", queuedTotal.Load())
			}
		}
	})
}

// TestQueuedChunksAreFilled fills a queue with frames of many sizes. The chunks must be
// filled so well that hardly more memory is held than is counted.
func TestQueuedChunksAreFilled(t *testing.T) {
	server, client := curveConfigs()
	p := rawDial(t, listen(t, open(t, Router, Options{Curve: server}))).curveHandshake(client, Dealer, "")
	for size := 0; size < 2*LargeFrame; size += 1021 {
		for name, s := range map[string]*curve.Sealer{"NULL": nil, "CURVE": p.sealer} {
			o := outbox{sealer: s}
			for range 100 {
				o.putFrame(zmtp.FlagMore, make([]byte, 100))
				o.putFrame(0, make([]byte, size))
			}
			held := int64(0)
			for _, s := range o.segments {
				held += int64(cap(s.b))
			}
			limit := o.bytes*21/20 + chunkSize
			if size >= LargeFrame {
				limit = o.bytes * 27 / 25
			}
			if held > limit {
				t.Errorf("%s: %d bytes in frames of %d bytes take %d bytes of memory", name, o.bytes, size, held)
			}
			o.discard()
		}
	}
}
