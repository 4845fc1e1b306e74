package hub

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/ipcore/ipcore/core/controller/db"
	"github.com/ipcore/ipcore/core/controller/db/dictdb"
	"github.com/ipcore/ipcore/core/controller/monitor"
	"github.com/ipcore/ipcore/core/wire"
)

// notTransient hides that a database is transient, so that records are built at
// once.
type notTransient struct{ db.DB }

func dictionary(t *testing.T, o dictdb.Options) *dictdb.DB {
	t.Helper()
	d, err := dictdb.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// hubPair is two hubs that get the same messages. Only the first one defers
// records.
type hubPair [2]*fixture

func (p hubPair) relay(topic monitor.Topic, engine string, frames [][]byte) {
	for _, f := range p {
		f.hub.Relayed(topic, []byte(engine), []byte("c"), frames)
	}
}

// compare sends a request to both hubs and compares the replies, except for the
// time when a result was received. It returns the first one's reply.
func (p hubPair) compare(msgType, content string) map[string]any {
	p[0].t.Helper()
	var got [2]hubMessage
	for i, f := range p {
		got[i] = f.ask(msgType, content)
		removeTimes(got[i].content)
	}
	if !reflect.DeepEqual(got[0].content, got[1].content) || !reflect.DeepEqual(got[0].buffers, got[1].buffers) {
		p[0].t.Fatalf("%s %s:\ndeferred %s\n at once %s", msgType, content, got[0].raw, got[1].raw)
	}
	return got[0].content
}

// removeTimes removes times that the hub sets from a reply.
func removeTimes(v any) {
	switch v := v.(type) {
	case map[string]any:
		delete(v, "received")
		if r, ok := v["result_content"].(map[string]any); ok && r["ename"] == "EngineError" {
			delete(v, "completed")
			delete(v, "result_header")
		}
		for _, x := range v {
			removeTimes(x)
		}
	case []any:
		for _, x := range v {
			removeTimes(x)
		}
	}
}

// TestDeferredRecords checks with random histories that a record which is built
// when somebody asks for it is the one that would have been built at once.
func TestDeferredRecords(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { testDeferredRecords(t, seed) })
	}
}

func testDeferredRecords(t *testing.T, seed uint64) {
	late := start(t, testKey, func(o *Options) { o.DB = dictionary(t, dictdb.Options{RecordLimit: -1}) })
	p := hubPair{late, start(t, testKey, func(o *Options) { o.DB = notTransient{dictionary(t, dictdb.Options{RecordLimit: -1})} })}
	engines := []string{"e0", "e1", "e2"}
	sessions := map[string]*wire.Session{}
	for i, uuid := range engines {
		sessions[uuid] = newSession(t, uuid, testKey)
		for _, f := range p {
			f.engine(i, uuid)
		}
	}
	type request struct {
		id     string
		frames [][]byte
		topic  monitor.Topic
		engine string
	}
	rng := rand.New(rand.NewPCG(seed, 7))
	var all []*request
	lost := false
	pick := func() *request { return all[rng.IntN(len(all))] }
	reply := func(r *request, status string) {
		metadata := fmt.Sprintf(`{"started": %q, "dependencies_met": true, "engine": %q, "status": %q}`, wire.FormatDate(time.Now()), r.engine, status)
		m, err := sessions[r.engine].Message("apply_reply", r.frames[2], json.RawMessage(metadata), json.RawMessage(`{"status": "ok"}`), []byte(r.id))
		if err != nil {
			t.Fatal(err)
		}
		p.relay(map[monitor.Topic]monitor.Topic{monitor.In: monitor.Out, monitor.InTask: monitor.OutTask, monitor.InBroadcast: monitor.OutBroadcast}[r.topic], r.engine, m.AppendFrames(nil))
	}
	for range 600 {
		what := rng.IntN(100)
		switch {
		case what < 40 || all == nil:
			r := &request{topic: []monitor.Topic{monitor.In, monitor.InTask, monitor.InBroadcast}[rng.IntN(3)], engine: engines[rng.IntN(3)]}
			r.frames, r.id = late.message("apply_request", `{"a": 1}`, make([]byte, rng.IntN(200)), nil)
			all = append(all, r)
			engine := r.engine
			if r.topic == monitor.InTask {
				engine = ""
			}
			if rng.IntN(20) == 0 {
				reply(r, "ok") // before its request
			}
			p.relay(r.topic, engine, r.frames)
		case what < 43:
			r := pick() // the same request again
			p.relay(r.topic, r.engine, r.frames)
		case what < 55:
			r := pick()
			for _, f := range p {
				f.hub.Assigned(r.id, r.engine)
			}
		case what < 85:
			reply(pick(), []string{"ok", "error", "aborted"}[rng.IntN(3)])
		case what < 90:
			r := pick()
			m, err := sessions[r.engine].Message("stream", r.frames[2], nil, json.RawMessage(`{"name": "stdout", "text": "out"}`))
			if err != nil {
				t.Fatal(err)
			}
			p.relay(monitor.IOPub, r.engine, m.AppendFrames(nil))
		case what < 93:
			p.compare("result_request", fmt.Sprintf(`{"msg_ids": [%q, %q]}`, pick().id, pick().id))
		case what < 96:
			p.compare("queue_request", `{"targets": null, "verbose": true}`)
		case what == 96:
			p.compare("db_request", fmt.Sprintf(`{"query": {"msg_id": %q}}`, pick().id))
		case what == 97:
			id := pick().id
			for _, f := range p { // the task may be pending, so the hub may refuse
				f.ask("purge_request", fmt.Sprintf(`{"msg_ids": [%q]}`, id))
			}
		case what == 98:
			p.compare("history_request", `{}`)
		case !lost && len(all) > 100:
			lost = true
			for _, f := range p {
				f.hub.Lost("e2", "a test")
				f.wantEvent("unregistered 2 e2")
			}
		}
	}
	p.compare("queue_request", `{"targets": null, "verbose": true}`)
	records := p.compare("db_request", `{"query": {}}`)["records"].([]any)
	if len(records) < 100 {
		t.Errorf("only %d records", len(records))
	}
	p.compare("history_request", `{}`)
	if l := &late.hub.deferred; l.n != 0 || l.ended.n != 0 || l.bytes != 0 {
		t.Errorf("after all records were asked for, %d are deferred, %d of them ended, %d bytes", l.n, l.ended.n, l.bytes)
	}
}

// stats returns the hub's current numbers.
func (f *fixture) stats() Stats {
	f.t.Helper()
	if err := f.hub.Probe(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	return f.hub.Stats()
}

// exchange relays n requests and their replies and returns their ids.
func exchange(f *fixture, n int, buffers ...[]byte) []string {
	f.t.Helper()
	ids := make([]string, n)
	for i := range ids {
		id, header := f.direct("e0", buffers...)
		f.answer(monitor.Out, "e0", header, "ok")
		ids[i] = id
	}
	return ids
}

// TestDeferredRecordsAreBounded checks that records for which the database has no
// space are displaced, oldest first, and known as culled, and that pending ones
// stay.
func TestDeferredRecordsAreBounded(t *testing.T) {
	f := start(t, testKey, func(o *Options) { o.DB = dictionary(t, dictdb.Options{RecordLimit: 10}) })
	f.engine(0, "e0")
	pending, _ := f.direct("e0")
	ids := exchange(f, 25)
	f.expect("queue_request", `{"targets": null}`, "queue_reply", `{"status": "ok", "0": {"queue": 1, "completed": 25, "tasks": 0}, "unassigned": 0}`)
	if s := f.stats(); s.Records.Records != 11 || s.Records.Culled != 15 {
		t.Errorf("%+v; want 11 records, 15 culled", s.Records)
	}
	f.fails("result_request", fmt.Sprintf(`{"msg_ids": [%q]}`, ids[14]), "result_reply", "KeyError", `"Record '`+ids[14]+`' has been culled for size"`)
	f.record(ids[15])
	f.record(pending)
	if n := len(f.ask("history_request", `{}`).content["history"].([]any)); n != 11 {
		t.Errorf("%d in the history, want 11", n)
	}
	// Stored records are displaced by deferred ones.
	exchange(f, 4)
	f.ask("queue_request", `{"targets": null}`)
	if s := f.stats(); s.Records.Records != 11 || s.Records.Culled != 19 {
		t.Errorf("%+v; want 11 records, 19 culled", s.Records)
	}
	f.record(ids[24])
}

// TestDeferredBytesAreBounded checks that the limit on bytes includes deferred
// records.
func TestDeferredBytesAreBounded(t *testing.T) {
	f := start(t, testKey, func(o *Options) { o.DB = dictionary(t, dictdb.Options{SizeLimit: 1 << 20}) })
	f.engine(0, "e0")
	ids := exchange(f, 50, make([]byte, 100<<10))
	f.ask("queue_request", `{"targets": null}`)
	if s := f.stats(); s.Records.Bytes > 1<<20 || s.Records.Records < 8 {
		t.Errorf("%+v; the limit is 1 MiB", s.Records)
	}
	f.record(ids[49])
}

// TestDeferredRecordsAreStored checks that a database without limits gets the
// oldest deferred records when there are too many.
func TestDeferredRecordsAreStored(t *testing.T) {
	d := dictionary(t, dictdb.Options{RecordLimit: -1})
	f := start(t, testKey, func(o *Options) { o.DB = d })
	f.engine(0, "e0")
	const more = 100
	ids := exchange(f, maxDeferred+more)
	f.stop()
	if n := d.Stats().Records; n != more {
		t.Errorf("%d records stored, want %d", n, more)
	}
	for i, id := range ids {
		if d.Has(id) != (i < more) {
			t.Fatalf("record %d: stored %v", i, d.Has(id))
		}
	}
	if n := f.hub.deferred.n; n != maxDeferred {
		t.Errorf("%d deferred, want %d", n, maxDeferred)
	}
}

// TestDeferredRecordsAreForgotten checks that the lists of deferred records do not
// grow, whatever is asked for and however often.
func TestDeferredRecordsAreForgotten(t *testing.T) {
	for _, c := range []struct {
		name  string
		tasks int
		most  int // length of a list: twice the number of deferred records, and maxDeferred
		ask   func(f *fixture, id string)
	}{
		{"all records are asked for at once", 2 * maxDeferred, maxDeferred, func(f *fixture, _ string) { f.ask("db_request", `{"query": {"msg_id": ""}}`) }},
		{"each record is asked for", 2 * maxDeferred, maxDeferred, func(f *fixture, id string) { f.ask("result_request", fmt.Sprintf(`{"msg_ids": [%q]}`, id)) }},
		{"nothing is asked for", 5 * maxDeferred, 3 * maxDeferred, func(*fixture, string) {}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := start(t, testKey, nil)
			f.engine(0, "e0")
			for range c.tasks {
				c.ask(f, exchange(f, 1)[0])
			}
			f.stop()
			l := &f.hub.deferred
			if len(l.tasks) > c.most+1 || len(l.ended.list) > c.most+1 || len(f.hub.jobs) > maxDeferred {
				t.Errorf("%d tasks, %d ended, %d jobs; at most %d", len(l.tasks), len(l.ended.list), len(f.hub.jobs), c.most)
			}
		})
	}
}
