package relay

import (
	"fmt"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/controller/monitor"
	"github.com/ipcore/ipcore/core/sockets"
	"github.com/ipcore/ipcore/core/wire"
)

// discard is a Monitor that records nothing.
type discard struct{ recorder }

func (*discard) Relayed(monitor.Topic, []byte, []byte, [][]byte) {}

// BenchmarkBroadcast sends an empty function to 256 engines, each of which replies.
func BenchmarkBroadcast(b *testing.B) {
	for _, coalescing := range []bool{false, true} {
		b.Run(fmt.Sprint("coalescing=", coalescing), func(b *testing.B) { benchmarkBroadcast(b, 256, coalescing) })
	}
}

func benchmarkBroadcast(b *testing.B, engines int, coalescing bool) {
	f, o := newFixture(b)
	f.connected = make(chan string, engines)
	o.Connected = func(uuid string) { f.connected <- uuid }
	o.Monitor = &discard{}
	o.Log = hclog.NewNullLogger()
	tree, err := NewBroadcast(1, LeafOptions{Connected: func(_ int, uuid string) { f.connected <- uuid }, Disconnected: func(int, string) {}}, o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { tree.Close(0) })
	var ports []string
	for _, leaf := range tree.Leaves {
		port, err := leaf.Listen("tcp://127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		ports = append(ports, fmt.Sprintf("tcp://127.0.0.1:%d", port))
	}
	var targets [][]any
	for i := range engines {
		uuid := fmt.Sprintf("%08x-0123456789abcdef01234567", i)
		targets = append(targets, []any{uuid, i})
		meta := map[string]any{"status": "ok", "engine": uuid, "is_broadcast": true, "is_coalescing": coalescing, "original_msg_id": ""}
		e := sockets.New(sockets.Router, sockets.Options{Identity: []byte(uuid), Handler: func(c *sockets.Conn, frames [][]byte) {
			m, err := wire.Parse(frames)
			if err != nil {
				b.Error(err)
				return
			}
			got, err := wire.PeekMetadata(m.Metadata)
			if err != nil {
				b.Error(err)
				return
			}
			meta["original_msg_id"] = got.OriginalMsgID
			reply, err := f.session.Message("apply_reply", m.Header, meta, struct{}{}, []byte("result"))
			if err != nil {
				b.Error(err)
				return
			}
			reply.Idents = m.Idents
			_ = c.Enqueue(reply.AppendFrames(nil)...)
		}})
		b.Cleanup(func() { _ = e.Close(0) })
		if err := e.Dial(ports[i%len(ports)]); err != nil {
			b.Fatal(err)
		}
	}
	for range engines {
		<-f.connected
	}
	client := f.dial(sockets.Dealer, "C", tree.Clients)
	client.got = make(chan [][]byte, engines)
	replies := engines
	if coalescing {
		replies = 1
	}
	meta := map[string]any{"targets": targets, "is_broadcast": true, "is_coalescing": coalescing}
	b.ReportAllocs()
	for b.Loop() {
		if err := client.Send(f.pack("apply_request", nil, meta, struct{}{}, make([]byte, 560), make([]byte, 44))...); err != nil {
			b.Fatal(err)
		}
		for range replies {
			<-client.got
		}
	}
}
