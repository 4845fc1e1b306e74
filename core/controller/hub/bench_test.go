package hub

import (
	"fmt"
	"testing"
	"time"

	"github.com/ipcore/ipcore/core/controller/monitor"
	"github.com/ipcore/ipcore/core/wire"
)

// BenchmarkDirect measures a direct request with its output and reply: six relayed
// messages, four of which are recorded. It covers the caller and the hub.
func BenchmarkDirect(b *testing.B) {
	benchmark(b, func(f *fixture, m *messages) int {
		uuid := []byte("e0")
		f.hub.Relayed(monitor.In, uuid, nil, m.request)
		f.hub.Relayed(monitor.IOPub, uuid, nil, m.busy)
		f.hub.Relayed(monitor.IOPub, uuid, nil, m.stream)
		f.hub.Relayed(monitor.IOPub, uuid, nil, m.stream)
		f.hub.Relayed(monitor.IOPub, uuid, nil, m.busy)
		f.hub.Relayed(monitor.Out, uuid, nil, m.reply)
		return 6
	})
}

// BenchmarkMux measures a direct request without output.
func BenchmarkMux(b *testing.B) {
	benchmark(b, func(f *fixture, m *messages) int {
		f.hub.Relayed(monitor.In, []byte("e0"), nil, m.request)
		f.hub.Relayed(monitor.Out, []byte("e0"), nil, m.reply)
		return 2
	})
}

// BenchmarkTask measures a load-balanced task without output, as a relay with the
// scheme "pure" reports it.
func BenchmarkTask(b *testing.B) {
	benchmark(b, func(f *fixture, m *messages) int {
		f.hub.Relayed(monitor.InTask, nil, nil, m.request)
		f.hub.Assigned(m.id, "e0")
		f.hub.Relayed(monitor.OutTask, []byte("e0"), nil, m.reply)
		return 3
	})
}

// BenchmarkScheduledTask measures a task as the scheduler reports it, with what the
// scheduler has read of the messages.
func BenchmarkScheduledTask(b *testing.B) {
	benchmark(b, func(f *fixture, m *messages) int {
		f.hub.Submitted(m.request, monitor.Submission{ID: m.id, Session: "client", Date: m.date})
		f.hub.Assigned(m.id, "e0")
		f.hub.Answered(m.reply, monitor.Answer{ID: m.id, Status: "ok", Engine: "e0", Started: m.date})
		return 3
	})
}

// messages are the messages of one request.
type messages struct {
	id, date                     string
	request, reply, busy, stream [][]byte
}

func benchmark(b *testing.B, relay func(*fixture, *messages) int) {
	f := start(b, testKey, nil)
	f.engine(0, "e0")
	engine := newSession(b, "e0", testKey)
	build := func(s *wire.Session, msgType string, parent []byte, metadata, content any, buffers ...[]byte) [][]byte {
		m, err := s.Message(msgType, parent, metadata, content, buffers...)
		if err != nil {
			b.Fatal(err)
		}
		return m.AppendFrames(nil)
	}
	all := make([]*messages, b.N)
	for i := range all {
		m := &messages{date: wire.FormatDate(time.Now())}
		m.request, m.id = f.message("apply_request", `{}`, make([]byte, 350), make([]byte, 60), make([]byte, 5))
		parent := m.request[2]
		m.reply = build(engine, "apply_reply", parent, map[string]any{
			"started": wire.FormatDate(time.Now()), "dependencies_met": true, "engine": "e0", "is_broadcast": false,
			"is_coalescing": false, "original_msg_id": "", "label": nil, "status": "ok",
		}, statusOK, make([]byte, 30))
		m.busy = build(engine, "status", parent, nil, map[string]string{"execution_state": "busy"})
		m.stream = build(engine, "stream", parent, nil, map[string]string{"name": "stdout", "text": "some output\n"})
		all[i] = m
	}
	n := 0
	b.ReportAllocs()
	b.ResetTimer()
	for _, m := range all {
		n += relay(f, m)
	}
	f.ask("queue_request", `{"targets": null}`)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/message")
	if b.N > 2000 {
		return
	}
	s := f.ask("history_request", `{}`)
	if got := fmt.Sprint(len(s.content["history"].([]any))); b.N <= 1000 && got != fmt.Sprint(b.N) {
		b.Errorf("%s records of %d", got, b.N)
	}
}
