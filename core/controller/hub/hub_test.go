package hub

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ipcore/ipcore/core/controller/db/nodb"
	"github.com/ipcore/ipcore/core/controller/monitor"
	"github.com/ipcore/ipcore/core/wire"
)

func TestEmptyCluster(t *testing.T) {
	f := start(t, testKey, func(o *Options) { o.URL = "tcp://127.0.0.1:1234" })
	f.expect("connection_request", `{}`, "connection_reply", `{"status": "ok", "engines": {}}`)
	f.expect("queue_request", `{"targets": null, "verbose": false}`, "queue_reply", `{"status": "ok", "unassigned": 0}`)
	f.expect("queue_request", `{"targets": null, "verbose": true}`, "queue_reply", `{"status": "ok", "unassigned": []}`)
	f.expect("load_request", `{"targets": null}`, "load_reply", `{"status": "ok"}`)
	f.expect("history_request", `{}`, "history_reply", `{"status": "ok", "history": []}`)
	f.expect("db_request", `{"query": {}, "keys": null}`, "db_reply", `{"status": "ok", "records": [], "buffer_lens": null, "result_buffer_lens": null}`)
	f.expect("db_request", `{"query": {}, "keys": ["buffers"]}`, "db_reply", `{"status": "ok", "records": [], "buffer_lens": [], "result_buffer_lens": null}`)
	f.expect("result_request", `{"msg_ids": [], "status_only": false}`, "result_reply", `{"status": "ok", "pending": [], "completed": []}`)
	f.expect("purge_request", `{"msg_ids": "all", "engine_ids": []}`, "purge_reply", `{"status": "ok"}`)
	f.expect("resubmit_request", `{"msg_ids": []}`, "resubmit_reply", `{"status": "ok", "resubmitted": {}}`)
	f.expect("stop_distributed_request", `{}`, "stop_distributed_reply", `{"status": "ok"}`)
	for _, line := range []string{"Hub listening on tcp://127.0.0.1:1234 for registration.", "Hub using DB backend: 'DictDB'", "hub::created hub"} {
		if !strings.Contains(f.log.String(), line) {
			t.Errorf("the log has no line %q", line)
		}
	}
}

func TestErrors(t *testing.T) {
	f := start(t, testKey, nil)
	f.engine(0, "e0")
	id, _ := f.direct("e0")
	for _, c := range []struct{ request, content, reply, ename, evalue string }{
		{"nosuch_request", `{}`, "hub_error", "KeyError", `"Bad Message Type: 'nosuch_request'"`},
		{"queue_request", `{"targets": [99]}`, "hub_error", "IndexError", "No Such Engine: [99]"},
		{"queue_request", `{"targets": [0, "x", -1, null]}`, "hub_error", "IndexError", "No Such Engine: ['x', -1, None]"},
		{"queue_request", `{"targets": []}`, "hub_error", "IndexError", "No Engines Registered"},
		{"queue_request", `{}`, "hub_error", "KeyError", "'targets'"},
		{"load_request", `{"targets": 99}`, "hub_error", "IndexError", "No Such Engine: [99]"},
		{"load_request", `{}`, "hub_error", "KeyError", "'targets'"},
		{"result_request", `{}`, "hub_error", "KeyError", "'msg_ids'"},
		{"result_request", `{"msg_ids": ["nope"]}`, "result_reply", "KeyError", "'No such message: nope'"},
		{"result_request", `{"msg_ids": ["nope"], "status_only": true}`, "result_reply", "KeyError", "'No such message: nope'"},
		{"db_request", `{"query": {"msg_id": {"$foo": 1}}}`, "db_reply", "KeyError", "'$foo'"},
		{"db_request", `{"query": {}, "keys": ["nope"]}`, "db_reply", "KeyError", "'nope'"},
		{"db_request", `{"query": {"completed": {"$lt": null}}}`, "db_reply", "TypeError",
			"'<' not supported between instances of 'datetime.datetime' and 'NoneType' (field 'completed')"},
		{"purge_request", `{"msg_ids": [], "engine_ids": [99]}`, "purge_reply", "IndexError", "No such engine: 99"},
		{"purge_request", fmt.Sprintf(`{"msg_ids": [%q]}`, id), "purge_reply", "IndexError", "msg pending: '" + id + "'"},
		{"resubmit_request", `{}`, "hub_error", "KeyError", "'msg_ids'"},
		{"resubmit_request", `{"msg_ids": ["nope"]}`, "resubmit_reply", "KeyError", `"No such msg(s): ['nope']"`},
		{"registration_request", `{"uuid": "e0"}`, "registration_reply", "KeyError", `"uuid 'e0' in use"`},
		{"registration_request", `{"uuid": "` + strings.Repeat("x", 256) + `"}`, "registration_reply", "ValueError",
			"a uuid has 1 to 255 bytes, the first of them not zero"},
		{"become_dask_request", `{"scheduler_args": {}}`, "become_dask_reply", "NotImplementedError", "this hub does not start Dask"},
	} {
		f.fails(c.request, c.content, c.reply, c.ename, c.evalue)
	}
}

func TestRegistration(t *testing.T) {
	state := filepath.Join(t.TempDir(), "engines.json")
	f := start(t, testKey, func(o *Options) { o.StateFile = state; o.HeartbeatPeriod = 250 * time.Millisecond })
	f.expect("registration_request", `{"uuid": "a"}`, "registration_reply",
		`{"id": 0, "status": "ok", "hb_period": 250, "connection_info": {"interface": "tcp://127.0.0.1"}}`)
	f.wantEvent("pending 0 a")
	f.fails("registration_request", `{"uuid": "a"}`, "registration_reply", "KeyError", `"uuid 'a' in use"`)
	f.expect("connection_request", `{}`, "connection_reply", `{"status": "ok", "engines": {}}`)
	f.hub.Ready("a")
	f.hub.Ready("a")
	f.wantEvent("registered 0 a")
	f.wantNotification("registration_notification", `{"id":0,"uuid":"a"}`)
	f.expect("connection_request", `{}`, "connection_reply", `{"status": "ok", "engines": {"0": "a"}}`)

	// The refused request has used id 1 up. An id that is free is granted, another
	// one is not.
	for _, c := range []struct {
		uuid, wanted string
		id           int
	}{{"b", "7", 7}, {"c", "7", 8}, {"d", "-1", 9}, {"e", `"x"`, 10}, {"f", "null", 11}, {"g", "3", 3}, {"h", "5000000000", 12}} {
		s := f.ask("registration_request", fmt.Sprintf(`{"uuid": %q, "id": %s}`, c.uuid, c.wanted))
		if s.content["id"] != float64(c.id) {
			t.Errorf("engine %s asked for %s: %s, want %d", c.uuid, c.wanted, s.raw, c.id)
		}
		f.wantEvent(fmt.Sprint("pending ", c.id, " ", c.uuid))
	}
	f.hub.Ready("b")
	f.hub.Ready("g") // the lower id is announced first
	f.wantEvent("registered 3 g")
	f.wantEvent("registered 7 b")
	f.wantNotification("registration_notification", `{"id":3,"uuid":"g"}`)
	f.wantNotification("registration_notification", `{"id":7,"uuid":"b"}`)

	// There are three ways to leave. Repeating one does nothing.
	f.hub.Lost("b", "connection lost")
	f.wantEvent("unregistered 7 b")
	f.wantNotification("unregistration_notification", `{"id":7,"uuid":"b"}`)
	f.hub.Lost("b", "connection lost")
	frames, _ := f.message("unregistration_request", `{"id": 3}`)
	f.hub.Request([]byte("nanny"), "x", frames)
	f.wantEvent("unregistered 3 g")
	f.wantNotification("unregistration_notification", `{"id":3,"uuid":"g"}`)
	f.publish("a", nil, "shutdown_reply", `{"status": "ok", "restart": false}`)
	f.wantEvent("unregistered 0 a")
	f.wantNotification("unregistration_notification", `{"id":0,"uuid":"a"}`)
	for _, content := range []string{`{"id": 0}`, `{"id": 99}`, `{}`, `[]`} {
		frames, _ := f.message("unregistration_request", content)
		f.hub.Request([]byte("nanny"), "x", frames)
	}

	// The id of a dead engine is not used again; its uuid may be.
	s := f.ask("registration_request", `{"uuid": "a", "id": 0}`)
	if s.content["id"] != float64(13) {
		t.Errorf("asked for the id of a dead engine: %s", s.raw)
	}
	f.wantEvent("pending 13 a")

	// Registrations are given up by id, or by an engine that does not know its id.
	frames, _ = f.message("unregistration_request", `{"id": 13}`)
	f.hub.Request([]byte("nanny"), "x", frames)
	f.wantEvent("abandoned 13 a")
	frames, _ = f.message("unregistration_request", `{"id": null}`)
	f.hub.Request([]byte("h"), "x", frames)
	f.wantEvent("abandoned 12 h")

	f.stop()
	text, err := os.ReadFile(state)
	if err != nil || string(text) != `{"engines":{},"next_id":14}` {
		t.Errorf("engine table %s, %v", text, err)
	}
}

func TestStalledRegistration(t *testing.T) {
	f := start(t, testKey, func(o *Options) {
		o.RegistrationTimeout = 300 * time.Millisecond
		o.AnnounceHold = 20 * time.Millisecond
	})
	for id, uuid := range []string{"stuck", "b", "c"} {
		f.ask("registration_request", fmt.Sprintf(`{"uuid": %q}`, uuid))
		f.wantEvent(fmt.Sprint("pending ", id, " ", uuid))
	}
	f.hub.Ready("b")
	f.wantEvent("registered 1 b")
	f.hub.Ready("c") // does not wait for the stuck engine again
	f.wantEvent("registered 2 c")
	f.wantEvent("abandoned 0 stuck")
	f.hub.Ready("stuck")
	f.expect("connection_request", `{}`, "connection_reply", `{"status": "ok", "engines": {"1": "b", "2": "c"}}`)
}

// TestBroadcast checks that each engine's copy of a broadcast has a record.
func TestBroadcast(t *testing.T) {
	f := start(t, testKey, nil)
	f.engine(0, "e0")
	m, err := f.client.Message("apply_request", nil, nil, map[string]any{}, []byte("f"))
	if err != nil {
		t.Fatal(err)
	}
	header, err := wire.PeekHeader(m.Header)
	if err != nil {
		t.Fatal(err)
	}
	f.hub.Relayed(monitor.InBroadcast, []byte("e0"), []byte("client"), m.AppendFrames(nil))
	f.expect("queue_request", `{"targets": 0}`, "queue_reply", `{"status": "ok", "0": {"queue": 1, "completed": 0, "tasks": 0}, "unassigned": 0}`)
	reply, err := f.client.Message("apply_reply", m.Header, map[string]any{"status": "ok", "engine": "e0"}, map[string]any{"status": "ok"}, []byte("3"))
	if err != nil {
		t.Fatal(err)
	}
	f.hub.Relayed(monitor.OutBroadcast, []byte("e0"), []byte("client"), reply.AppendFrames(nil))
	f.expect("queue_request", `{"targets": 0}`, "queue_reply", `{"status": "ok", "0": {"queue": 0, "completed": 1, "tasks": 0}, "unassigned": 0}`)
	if r := f.record(header.MsgID); r["completed"] == nil || r["engine_uuid"] != "e0" || r["queue"] != "broadcast" {
		t.Errorf("record %v", r)
	}
}

func TestDirect(t *testing.T) {
	f := start(t, testKey, nil)
	f.engine(0, "e0")
	id, header := f.direct("e0", []byte("f"), []byte("arg"))
	f.direct("nobody") // unknown target: not recorded
	f.expect("queue_request", `{"targets": 0}`, "queue_reply", `{"status": "ok", "0": {"queue": 1, "completed": 0, "tasks": 0}, "unassigned": 0}`)
	f.expect("queue_request", `{"targets": "e0", "verbose": true}`, "queue_reply",
		fmt.Sprintf(`{"status": "ok", "0": {"queue": [%q], "completed": [], "tasks": []}, "unassigned": []}`, id))
	f.expect("load_request", `{"targets": null}`, "load_reply", `{"status": "ok", "0": 1}`)
	f.expect("result_request", fmt.Sprintf(`{"msg_ids": [%q]}`, id), "result_reply", fmt.Sprintf(`{"status": "ok", "pending": [%q], "completed": []}`, id))
	if r := f.record(id); r["completed"] != nil || r["result_header"] != nil || r["engine_uuid"] != "e0" || r["queue"] != "mux" || r["client_uuid"] != "client" {
		t.Errorf("pending record %v", r)
	}
	f.publish("e0", header, "stream", `{"name": "stdout", "text": "a\n"}`)
	f.publish("e0", header, "stream", `{"name": "stdout", "text": "b\n"}`)
	f.publish("e0", header, "stream", `{"name": "stderr", "text": "é"}`)
	f.publish("e0", header, "execute_input", `{"code": "1", "execution_count": 1}`)
	f.publish("e0", header, "execute_result", `{"data": {}}`)
	f.publish("e0", header, "error", `{"ename": "E"}`)
	f.publish("e0", header, "status", `{"execution_state": "idle"}`)
	f.publish("e0", nil, "stream", `{"name": "stdout", "text": "no parent"}`)
	f.answer(monitor.Out, "e0", header, "ok", []byte("result"))

	s := f.ask("result_request", fmt.Sprintf(`{"msg_ids": [%q, %q]}`, id, id))
	entry, _ := s.content[id].(map[string]any)
	io, _ := entry["io"].(map[string]any)
	if io["stdout"] != "a\nb\n" || io["stderr"] != "é" || io["execute_input"] != "1" || fmt.Sprint(io["execute_result"]) != "map[data:map[]]" || fmt.Sprint(io["error"]) != "map[ename:E]" {
		t.Errorf("output %v", io)
	}
	if len(s.buffers) != 1 || string(s.buffers[0]) != "result" {
		t.Errorf("buffers %q", s.buffers)
	}
	f.expect("result_request", fmt.Sprintf(`{"msg_ids": [%q], "status_only": true}`, id), "result_reply", fmt.Sprintf(`{"status": "ok", "pending": [], "completed": [%q]}`, id))
	f.expect("queue_request", `{"targets": null, "verbose": true}`, "queue_reply",
		fmt.Sprintf(`{"status": "ok", "0": {"queue": [], "completed": [%q], "tasks": []}, "unassigned": []}`, id))
	s = f.ask("db_request", `{"query": {"completed": {"$ne": null}}, "keys": ["buffers", "result_buffers", "queue"]}`)
	if want := fmt.Sprintf(`{"status": "ok", "records": [{"msg_id": %q, "queue": "mux"}], "buffer_lens": [2], "result_buffer_lens": [1]}`, id); s.raw != want {
		t.Errorf("got  %s\nwant %s", s.raw, want)
	}
	if fmt.Sprintf("%s", s.buffers) != "[f arg result]" {
		t.Errorf("buffers %q", s.buffers)
	}

	// An aborted direct request counts as completed; a second reply replaces the first.
	id, header = f.direct("e0")
	f.answer(monitor.Out, "e0", header, "aborted")
	f.answer(monitor.Out, "e0", header, "ok", []byte("late"))
	f.answer(monitor.Out, "e0", []byte(`{"msg_id": "unknown"}`), "ok")
	f.expect("queue_request", `{"targets": 0}`, "queue_reply", `{"status": "ok", "0": {"queue": 0, "completed": 2, "tasks": 0}, "unassigned": 0}`)
	if content := f.record(id)["result_content"]; fmt.Sprint(content) != "map[status:ok]" {
		t.Errorf("result %v", content)
	}
}

func TestTasks(t *testing.T) {
	f := start(t, testKey, nil)
	f.engine(0, "e0")
	f.engine(1, "e1")
	queue := func(want string) {
		t.Helper()
		f.expect("queue_request", `{"targets": null}`, "queue_reply", `{"status": "ok", `+want+`}`)
	}
	id, header := f.task([]byte("f"))
	queue(`"0": {"queue": 0, "completed": 0, "tasks": 0}, "1": {"queue": 0, "completed": 0, "tasks": 0}, "unassigned": 1`)
	if r := f.record(id); r["engine_uuid"] != nil || r["queue"] != "task" {
		t.Errorf("unassigned record %v", r)
	}
	f.hub.Assigned(id, "e0")
	f.hub.Assigned("unknown", "e0")
	queue(`"0": {"queue": 0, "completed": 0, "tasks": 1}, "1": {"queue": 0, "completed": 0, "tasks": 0}, "unassigned": 0`)
	f.hub.Assigned(id, "e1") // a retry elsewhere
	queue(`"0": {"queue": 0, "completed": 0, "tasks": 0}, "1": {"queue": 0, "completed": 0, "tasks": 1}, "unassigned": 0`)
	if r := f.record(id); r["engine_uuid"] != "e1" {
		t.Errorf("assigned record %v", r)
	}
	f.answer(monitor.OutTask, "e1", header, "ok", []byte("r"))
	queue(`"0": {"queue": 0, "completed": 0, "tasks": 0}, "1": {"queue": 0, "completed": 1, "tasks": 0}, "unassigned": 0`)
	r := f.record(id)
	if r["engine_uuid"] != "e1" || r["completed"] == nil || r["started"] == nil || r["received"] == nil {
		t.Errorf("completed record %v", r)
	}

	// Aborted tasks, and errors of the scheduler, are not counted for an engine.
	aborted, header2 := f.task()
	f.hub.Assigned(aborted, "e0")
	f.answer(monitor.OutTask, "e0", header2, "aborted")
	impossible, header3 := f.task()
	m, err := newSession(t, "scheduler", testKey).Message("apply_reply", header3, nil, wire.NewRemoteError("ImpossibleDependency", ""))
	if err != nil {
		t.Fatal(err)
	}
	f.hub.Relayed(monitor.OutTask, nil, []byte("c"), m.AppendFrames(nil))
	queue(`"0": {"queue": 0, "completed": 0, "tasks": 0}, "1": {"queue": 0, "completed": 1, "tasks": 0}, "unassigned": 0`)
	if r := f.record(impossible); r["engine_uuid"] != "" || r["completed"] == nil {
		t.Errorf("impossible task's record %v", r)
	}
	f.expect("history_request", `{}`, "history_reply", fmt.Sprintf(`{"status": "ok", "history": [%q, %q, %q]}`, id, aborted, impossible))
}

func TestLostEngine(t *testing.T) {
	f := start(t, testKey, nil)
	f.engine(0, "e0")
	id, header := f.direct("e0")
	f.hub.Lost("e0", "killed")
	f.wantEvent("unregistered 0 e0")
	f.wantNotification("unregistration_notification", `{"id":0,"uuid":"e0"}`)
	s := f.ask("result_request", fmt.Sprintf(`{"msg_ids": [%q]}`, id))
	entry, _ := s.content[id].(map[string]any)
	content, _ := entry["result_content"].(map[string]any)
	if content["ename"] != "EngineError" || content["evalue"] != "Engine 0 died while running task '"+id+"'" {
		t.Errorf("result %s", s.raw)
	}
	if h, _ := entry["result_header"].(map[string]any); h["engine"] != "e0" || h["date"] == nil {
		t.Errorf("result header %v", h)
	}
	f.expect("queue_request", `{"targets": null}`, "queue_reply", `{"status": "ok", "0": {"queue": 0, "completed": 0, "tasks": 0}, "unassigned": 0}`)
	f.answer(monitor.Out, "e0", header, "ok") // the reply was on its way when the engine died
	if content := f.record(id)["result_content"]; fmt.Sprint(content) != "map[status:ok]" {
		t.Errorf("late result %v", content)
	}
}

func TestStub(t *testing.T) {
	f := start(t, testKey, nil)
	f.engine(0, "e0")
	frames, id := f.message("apply_request", `{}`)
	f.publish("e0", frames[2], "stream", `{"name": "stdout", "text": "early"}`)
	f.fails("result_request", fmt.Sprintf(`{"msg_ids": [%q]}`, id), "result_reply", "KeyError", "'No such message: "+id+"'")
	f.expect("history_request", `{}`, "history_reply", `{"status": "ok", "history": []}`)
	if r := f.record(id); r["header"] != nil || r["submitted"] != nil || r["stdout"] != "early" {
		t.Errorf("stub %v", r)
	}
	f.hub.Relayed(monitor.In, []byte("e0"), nil, frames)
	if r := f.record(id); r["header"] == nil || r["submitted"] == nil || r["stdout"] != "early" || r["queue"] != "mux" {
		t.Errorf("completed stub %v", r)
	}
	f.expect("queue_request", `{"targets": null}`, "queue_reply", `{"status": "ok", "0": {"queue": 1, "completed": 0, "tasks": 0}, "unassigned": 0}`)
	f.hub.Relayed(monitor.In, []byte("e0"), nil, frames) // the same again
	f.expect("queue_request", `{"targets": null}`, "queue_reply", `{"status": "ok", "0": {"queue": 1, "completed": 0, "tasks": 0}, "unassigned": 0}`)
}

func TestPurge(t *testing.T) {
	f := start(t, testKey, nil)
	f.engine(0, "e0")
	f.engine(1, "e1")
	var ids []string
	for i := range 6 {
		uuid := fmt.Sprint("e", i%2)
		id, header := f.direct(uuid)
		f.answer(monitor.Out, uuid, header, "ok")
		ids = append(ids, id)
	}
	pending, _ := f.direct("e0")
	history := func(want ...string) {
		t.Helper()
		f.expect("history_request", `{}`, "history_reply", fmt.Sprintf(`{"status": "ok", "history": ["%s"]}`, strings.Join(want, `", "`)))
	}
	f.fails("purge_request", fmt.Sprintf(`{"msg_ids": [%q, %q]}`, ids[0], pending), "purge_reply", "IndexError", "msg pending: '"+pending+"'")
	f.fails("purge_request", fmt.Sprintf(`{"msg_ids": [%q], "engine_ids": [5]}`, ids[0]), "purge_reply", "IndexError", "No such engine: 5")
	history(ids[0], ids[1], ids[2], ids[3], ids[4], ids[5], pending)
	f.expect("purge_request", fmt.Sprintf(`{"msg_ids": [%q]}`, ids[0]), "purge_reply", `{"status": "ok"}`)
	history(ids[1], ids[2], ids[3], ids[4], ids[5], pending)
	f.expect("purge_request", `{"msg_ids": [], "engine_ids": [0]}`, "purge_reply", `{"status": "ok"}`)
	history(ids[1], ids[3], ids[5], pending)
	f.expect("purge_request", `{"msg_ids": "all"}`, "purge_reply", `{"status": "ok"}`)
	history(pending)
}

func TestResubmit(t *testing.T) {
	f := start(t, testKey, nil)
	f.engine(0, "e0")
	id, header := f.direct("e0", []byte("f"))
	f.answer(monitor.Out, "e0", header, "ok")
	s := f.ask("resubmit_request", fmt.Sprintf(`{"msg_ids": [%q]}`, id))
	renamed, _ := s.content["resubmitted"].(map[string]any)
	fresh, _ := renamed[id].(string)
	if fresh == "" || fresh == id {
		t.Fatalf("reply %s", s.raw)
	}
	frames := receive(f, "resubmitted message", f.resubmitted)
	m, err := f.client.Open(frames)
	if err != nil {
		t.Fatal(err)
	}
	h, err := wire.PeekHeader(m.Header)
	if err != nil || h.MsgID != fresh || h.Session != "client" || h.MsgType != "apply_request" {
		t.Errorf("header %+v, %v", h, err)
	}
	if string(m.Parent) != string(m.Header) || string(m.Metadata) != "{}" || len(m.Buffers) != 1 || string(m.Buffers[0]) != "f" {
		t.Errorf("message %+v", m)
	}
	if r := f.record(id); r["resubmitted"] != fresh {
		t.Errorf("old record %v", r)
	}
	f.hub.Relayed(monitor.InTask, nil, nil, frames)
	f.hub.Assigned(fresh, "e0")
	f.answer(monitor.OutTask, "e0", m.Header, "ok", []byte("again"))
	s = f.ask("result_request", fmt.Sprintf(`{"msg_ids": [%q]}`, fresh))
	if len(s.buffers) != 1 || string(s.buffers[0]) != "again" {
		t.Errorf("result %s", s.raw)
	}
	f.expect("queue_request", `{"targets": null}`, "queue_reply", `{"status": "ok", "0": {"queue": 0, "completed": 2, "tasks": 0}, "unassigned": 0}`)
}

func TestShutdown(t *testing.T) {
	f := start(t, testKey, nil)
	f.expect("shutdown_request", `{}`, "shutdown_reply", `{"status": "ok"}`)
	f.wantNotification("shutdown_notification", `{"status":"ok"}`)
	f.wantEvent("shutdown")
}

func TestRefusedRequests(t *testing.T) {
	f := start(t, testKey, nil)
	stranger := newSession(t, "stranger", "wrong key")
	m, err := stranger.Message("connection_request", nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		f.hub.Request([]byte("p"), "6.6.6.6:1", m.AppendFrames(nil))
	}
	f.hub.Request([]byte("p"), "6.6.6.6:2", [][]byte{[]byte("garbage")})
	m.Signature = nil
	f.hub.Request([]byte("p"), "6.6.6.6:3", m.AppendFrames(nil))
	frames, _ := f.message("connection_request", `{}`)
	f.hub.Request([]byte("p"), "6.6.6.6:4", frames)
	receive(f, "reply", f.replies)
	f.hub.Request([]byte("p"), "6.6.6.6:4", frames) // replayed
	bad, err := f.client.MessageWith(wire.Header{MsgType: "connection_request"}, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	f.hub.Request([]byte("p"), "6.6.6.6:5", bad.AppendFrames(nil))

	f.expect("connection_request", `{}`, "connection_reply", `{"status": "ok", "engines": {}}`)
	for i, reason := range []string{"invalid signature", "malformed", "not signed", "duplicate signature", "without msg_id"} {
		lines := 0
		for line := range strings.Lines(f.log.String()) {
			if strings.Contains(line, fmt.Sprint("6.6.6.6:", i+1)) && strings.Contains(line, reason) {
				lines++
			}
		}
		if lines != 1 {
			t.Errorf("%d log lines about %q, want 1:\n%s", lines, reason, f.log)
		}
	}
}

func TestMalformedMonitorMessages(t *testing.T) {
	f := start(t, testKey, nil)
	f.engine(0, "e0")
	for range 100 {
		f.hub.Relayed(monitor.In, []byte("e0"), nil, [][]byte{[]byte("garbage")})
	}
	f.expect("queue_request", `{"targets": null}`, "queue_reply", `{"status": "ok", "0": {"queue": 0, "completed": 0, "tasks": 0}, "unassigned": 0}`)
	f.expect("history_request", `{}`, "history_reply", `{"status": "ok", "history": []}`)
	if n := strings.Count(f.log.String(), "not recorded"); n != 1 {
		t.Errorf("%d log lines, want 1", n)
	}
}

// TestLogIsLimited sends signed messages without valid ids, many of each kind: each
// kind is logged once, and the hub continues.
func TestLogIsLimited(t *testing.T) {
	f := start(t, testKey, nil)
	f.engine(0, "e0")
	forge := func(topic monitor.Topic, header, parent, metadata string) {
		m := wire.Message{Header: []byte(header), Parent: []byte(parent), Metadata: []byte(metadata), Content: []byte("{}")}
		m.Signature = f.client.Signer().Sign(&m)
		f.hub.Relayed(topic, []byte("e0"), []byte("c"), m.AppendFrames(nil))
	}
	const header = `{"msg_id": "r", "msg_type": "apply_reply", "session": "s", "date": "2026-11-25T12:00:00Z"}`
	for range 100 {
		for _, topic := range []monitor.Topic{monitor.Out, monitor.OutTask, monitor.OutBroadcast} {
			forge(topic, header, "{}", "{}")
			forge(topic, header, "[", "{}")
			forge(topic, header, `{"msg_id": "of nobody"}`, "[")
		}
		forge(monitor.In, `{"msg_id": "", "msg_type": "apply_request"}`, "{}", "{}")
		forge(monitor.In, `{"msg_id": "twice", "msg_type": "apply_request", "date": "tomorrow"}`, "{}", "{}")
		forge(monitor.In, `{"msg_id": "twice", "msg_type": "apply_request", "session": "another"}`, "{}", "{}")
		forge(monitor.IOPub, `{"msg_id": "o", "msg_type": "stream"}`, "[", "{}")
		forge(monitor.IOPub, `{"msg_id": "o", "msg_type": "stream"}`, `{"msg_id": "twice"}`, "{}")
	}
	f.expect("queue_request", `{"targets": null}`, "queue_reply", `{"status": "ok", "0": {"queue": 1, "completed": 0, "tasks": 0}, "unassigned": 0}`)
	for text, want := range map[string]int{
		"reply without a parent": 3, "reply with an unreadable parent": 3, "reply with unreadable metadata": 3,
		"request without a msg_id": 1, "unreadable date": 1, "another request with the same msg_id": 1, "output not recorded": 1,
	} {
		if n := strings.Count(f.log.String(), text); n != want {
			t.Errorf("%d log lines about a %q, want %d:\n%s", n, text, want, f.log)
		}
	}
}

// TestAfterRun calls a hub that has ended.
func TestAfterRun(t *testing.T) {
	f := start(t, testKey, nil)
	f.engine(0, "e0")
	f.stop()
	f.direct("e0")
	f.hub.Ready("x")
	f.hub.Assigned("x", "e0")
	if f.hub.backlog.swap() != nil {
		t.Error("a hub that has ended keeps events")
	}
}

func TestNoDB(t *testing.T) {
	f := start(t, testKey, func(o *Options) { o.DB = nodb.DB{} })
	f.engine(0, "e0")
	id, header := f.direct("e0")
	f.answer(monitor.Out, "e0", header, "ok")
	f.expect("result_request", fmt.Sprintf(`{"msg_ids": [%q], "status_only": true}`, id), "result_reply", fmt.Sprintf(`{"status": "ok", "pending": [], "completed": [%q]}`, id))
	for _, c := range [][3]string{
		{"result_request", fmt.Sprintf(`{"msg_ids": [%q]}`, id), "result_reply"},
		{"history_request", `{}`, "history_reply"},
		{"db_request", `{"query": {}}`, "db_reply"},
		{"resubmit_request", fmt.Sprintf(`{"msg_ids": [%q]}`, id), "resubmit_reply"},
	} {
		s := f.ask(c[0], c[1])
		if s.header.MsgType != c[2] || s.content["ename"] != "NoData" {
			t.Errorf("%s: %s %s", c[0], s.header.MsgType, s.raw)
		}
	}
	f.expect("queue_request", `{"targets": null}`, "queue_reply", `{"status": "ok", "0": {"queue": 0, "completed": 1, "tasks": 0}, "unassigned": 0}`)
}

// TestBacklog blocks the hub while messages gather.
func TestBacklog(t *testing.T) {
	held := make(chan struct{})
	f := start(t, testKey, func(o *Options) {
		o.MaxBacklog = 1 << 20
		o.Shutdown = func() { <-held }
	})
	f.engine(0, "e0")
	f.ask("shutdown_request", `{}`)
	large := make([]byte, 200<<10)
	for range 50 {
		f.direct("e0", large)
	}
	if size := f.hub.backlog.current.bytes; size > 1<<20 {
		t.Errorf("%d bytes wait, the limit is %d", size, 1<<20)
	}
	close(held)
	for range 2 { // the overflow is logged after the batch of the first request and before that of the second
		f.expect("queue_request", `{"targets": null}`, "queue_reply", `{"status": "ok", "0": {"queue": 5, "completed": 0, "tasks": 0}, "unassigned": 0}`)
	}
	if n := strings.Count(f.log.String(), "hub is behind"); n != 1 {
		t.Errorf("%d log lines about the overflow, want 1:\n%s", n, f.log)
	}
}

// TestMalformedContent sends every request with contents of the wrong shape: each
// gets a reply, and the hub continues.
func TestMalformedContent(t *testing.T) {
	f := start(t, testKey, nil)
	f.engine(0, "e0")
	contents := []string{
		`[]`, `"x"`, `null`, `{broken`, ``, `{"targets": {"a": 1}, "msg_ids": 5, "query": 5, "keys": 5, "engine_ids": "x"}`,
		`{"targets": [[0]], "msg_ids": [5], "query": [], "keys": [null], "engine_ids": [null, 1.5]}`,
		`{"targets": 1e400, "msg_ids": {"a": 1}, "query": {"msg_id": {"$in": 5}}, "engine_ids": [1e300]}`,
		strings.Repeat(`[`, 20000),
	}
	for msgType := range requestHandlers {
		if msgType == "shutdown_request" || msgType == "unregistration_request" || msgType == "registration_request" {
			continue
		}
		for _, content := range contents {
			h := f.client.NewHeader(msgType)
			m, err := f.client.MessageWith(h, nil, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			m.Content = []byte(content)
			m.Signature = f.client.Signer().Sign(&m)
			f.hub.Request([]byte("peer"), "x", m.AppendFrames(nil))
			if s := receive(f, "reply to "+msgType+" "+content, f.replies); s.content["status"] == nil {
				t.Errorf("%s %.50s: %s", msgType, content, s.raw)
			}
		}
	}
	for _, content := range contents {
		for _, msgType := range []string{"registration_request", "unregistration_request"} {
			m, err := f.client.MessageWith(f.client.NewHeader(msgType), nil, nil, json.RawMessage(content))
			if err != nil {
				t.Fatal(err)
			}
			f.hub.Request([]byte("peer"), "x", m.AppendFrames(nil))
		}
		for _, msgType := range []string{"stream", "execute_input", "execute_result", "error", "shutdown_reply", "display_data"} {
			f.publish("e0", []byte(`{"msg_id": "m"}`), msgType, content)
		}
	}
	f.wantEvent("unregistered 0 e0")
	f.expect("queue_request", `{"targets": null}`, "queue_reply", `{"status": "ok", "0": {"queue": 0, "completed": 0, "tasks": 0}, "unassigned": 0}`)
	s := f.ask("db_request", `{"query": {}}`)
	if records, ok := s.content["records"].([]any); !ok || len(records) != 1 {
		t.Errorf("records %s", s.raw)
	}
}
