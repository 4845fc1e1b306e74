// Package dbtest is the conformance suite of task databases: every backend runs it
// against an empty database.
package dbtest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ipcore/ipcore/core/controller/db"
)

// Run runs the suite. open creates an empty database without a limit on records.
func Run(t *testing.T, open func(t *testing.T) db.DB) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, d db.DB)
	}{
		{"AddAndGet", testAddAndGet},
		{"Errors", testErrors},
		{"Update", testUpdate},
		{"Output", testOutput},
		{"Stub", testStub},
		{"Query", testQuery},
		{"Order", testOrder},
		{"Drop", testDrop},
		{"DropMatching", testDropMatching},
		{"Oracle", testOracle},
		{"History", testHistory},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := open(t)
			t.Cleanup(func() {
				if err := d.Close(); err != nil {
					t.Error(err)
				}
			})
			test.run(t, d)
		})
	}
}

// start is when the first task of the suite is submitted. All times are whole
// milliseconds, the precision of MongoDB.
var start = time.Date(2026, 11, 20, 10, 26, 3, 577000000, time.UTC)

// NewRecord returns record i of the suite, of a pending task.
func NewRecord(i int) *db.Record {
	id := fmt.Sprintf("session_%04d", i)
	engine := fmt.Sprintf("engine-%d", i%3)
	return &db.Record{
		MsgID:      id,
		Header:     fmt.Appendf(nil, `{"msg_id": %q, "session": "client", "n": %d}`, id, i),
		Metadata:   []byte(`{}`),
		Content:    []byte(`{"code": "1+1"}`),
		Buffers:    [][]byte{{0, 1, 2}, {}, []byte(strings.Repeat("x", 2000))},
		Submitted:  start.Add(time.Duration(i) * time.Second),
		ClientUUID: "client",
		EngineUUID: &engine,
		Queue:      []string{"mux", "task"}[i%2],
	}
}

// Finish returns the change that completes record i.
func Finish(i int) *db.Change {
	return &db.Change{
		Set: db.FieldSet(db.Started, db.Completed, db.Received, db.ResultHeader, db.ResultMetadata, db.ResultContent, db.ResultBuffers),
		Record: db.Record{
			Started:        start.Add(time.Duration(i)*time.Second + time.Millisecond),
			Completed:      start.Add(time.Duration(i)*time.Second + 2*time.Millisecond),
			Received:       start.Add(time.Duration(i)*time.Second + 3*time.Millisecond),
			ResultHeader:   []byte(`{"msg_id": "reply"}`),
			ResultMetadata: []byte(`{"status": "ok"}`),
			ResultContent:  []byte(`{"status": "ok"}`),
			ResultBuffers:  [][]byte{[]byte("result")},
		},
	}
}

// fill stores n records; the tasks of those with an even number have ended.
func fill(t *testing.T, d db.DB, n int) {
	t.Helper()
	for i := range n {
		must(t, d.Add(NewRecord(i)))
		if i%2 == 0 {
			must(t, d.Update(NewRecord(i).MsgID, Finish(i)))
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, d db.DB, id string) *db.Record {
	t.Helper()
	r, err := d.Get(id)
	must(t, err)
	return r
}

// same compares records by the fields that clients see.
func same(t *testing.T, got, want *db.Record) {
	t.Helper()
	for _, f := range db.AllFields.List() {
		if f.Kind() == db.Blob {
			continue
		}
		g, w := got.AppendJSON(nil, f), want.AppendJSON(nil, f)
		if string(g) != string(w) {
			t.Errorf("%s: %s, want %s", f.Name(), g, w)
		}
	}
	equal := func(a, b [][]byte) bool { return slices.EqualFunc(a, b, slices.Equal[[]byte]) }
	if !equal(got.Buffers, want.Buffers) || !equal(got.ResultBuffers, want.ResultBuffers) {
		t.Errorf("buffers differ")
	}
}

func testAddAndGet(t *testing.T, d db.DB) {
	fill(t, d, 4)
	same(t, get(t, d, "session_0001"), NewRecord(1))
	want := NewRecord(2)
	Finish(2).Apply(want)
	same(t, get(t, d, "session_0002"), want)
}

func testErrors(t *testing.T, d db.DB) {
	must(t, d.Add(NewRecord(1)))
	check := func(what string, err, kind error) {
		t.Helper()
		var e *db.Error
		if !errors.Is(err, kind) || !errors.As(err, &e) {
			t.Errorf("%s: %v, want %v", what, err, kind)
		}
	}
	check("add again", d.Add(NewRecord(1)), db.ErrDuplicate)
	_, err := d.Get("nope")
	check("get", err, db.ErrUnknown)
	if err == nil || !strings.Contains(err.Error(), "nope") {
		t.Errorf("the error does not name the id: %v", err)
	}
	check("update", d.Update("nope", Finish(1)), db.ErrUnknown)
	check("drop", d.Drop("nope"), db.ErrUnknown)
}

func testUpdate(t *testing.T, d db.DB) {
	must(t, d.Add(NewRecord(1)))
	id := NewRecord(1).MsgID
	must(t, d.Update(id, Finish(1)))
	again := Finish(7)
	again.Set |= db.FieldSet(db.Resubmitted, db.EngineUUID)
	again.Resubmitted = "newer"
	must(t, d.Update(id, again))
	want := NewRecord(1)
	again.Apply(want)
	same(t, get(t, d, id), want)
	if found := find(t, d, `{"completed": null}`); len(found) != 0 {
		t.Errorf("a completed record is found as pending: %v", found)
	}
}

func testOutput(t *testing.T, d db.DB) {
	must(t, d.Add(NewRecord(1)))
	id := NewRecord(1).MsgID
	for _, text := range []string{"a\n", "b\n"} {
		must(t, d.Update(id, &db.Change{Set: db.FieldSet(db.Stdout), Record: db.Record{Stdout: []byte(text)}}))
		must(t, d.Update(id, &db.Change{Set: db.FieldSet(db.Stderr), Record: db.Record{Stderr: []byte("é" + text)}}))
	}
	code := "print(1)"
	must(t, d.Update(id, &db.Change{
		Set:    db.FieldSet(db.ExecuteInput, db.ExecuteResult, db.ErrorField),
		Record: db.Record{ExecuteInput: &code, ExecuteResult: []byte(`{"data": {}}`), Error: []byte(`{"ename": "E"}`)},
	}))
	r := get(t, d, id)
	if string(r.Stdout) != "a\nb\n" || string(r.Stderr) != "éa\néb\n" {
		t.Errorf("stdout %q, stderr %q", r.Stdout, r.Stderr)
	}
	if r.ExecuteInput == nil || *r.ExecuteInput != code || string(r.ExecuteResult) != `{"data": {}}` || string(r.Error) != `{"ename": "E"}` {
		t.Errorf("output fields: %+v", r)
	}
}

func testStub(t *testing.T, d db.DB) {
	must(t, d.Add(&db.Record{MsgID: "stub", Stdout: []byte("early")}))
	if r := get(t, d, "stub"); !r.Stub() {
		t.Errorf("not a stub: %+v", r)
	}
	history, err := d.History()
	must(t, err)
	if len(history) != 0 {
		t.Errorf("stubs are in the history: %v", history)
	}
	want := NewRecord(5)
	want.MsgID = "stub"
	must(t, d.Update("stub", &db.Change{
		Set:    db.AllFields &^ db.FieldSet(db.MsgID, db.Stdout, db.Stderr),
		Record: *want,
	}))
	want.Stdout = []byte("early")
	same(t, get(t, d, "stub"), want)
}

func find(t *testing.T, d db.DB, query string) []string {
	t.Helper()
	q, err := db.ParseQuery([]byte(query))
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	records, err := d.Find(q, db.FieldSet(db.MsgID))
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	ids := []string{}
	for _, r := range records {
		ids = append(ids, strings.TrimPrefix(r.MsgID, "session_000"))
	}
	return ids
}

// testQuery queries ten records; the tasks of 0, 2, 4, 6 and 8 have ended.
func testQuery(t *testing.T, d db.DB) {
	fill(t, d, 10)
	for _, test := range []struct{ query, want string }{
		{`{}`, "0 1 2 3 4 5 6 7 8 9"},
		{`{"msg_id": "session_0003"}`, "3"},
		{`{"msg_id": {"$in": ["session_0007", "nope", "session_0003"]}}`, "3 7"},
		{`{"msg_id": {"$nin": ["session_0007"]}, "queue": "task"}`, "1 3 5 9"},
		{`{"completed": null}`, "1 3 5 7 9"},
		{`{"completed": {"$ne": null}}`, "0 2 4 6 8"},
		{`{"completed": {"$exists": true}}`, "0 2 4 6 8"},
		{`{"completed": {"$exists": false}}`, "1 3 5 7 9"},
		{`{"completed": {"$gt": "2026-11-20T10:26:07.579Z"}}`, "6 8"},
		{`{"completed": {"$gte": "2026-11-20T10:26:07.579Z"}}`, "4 6 8"},
		{`{"completed": {"$gte": "2026-11-20T11:26:07.579+01:00"}}`, "4 6 8"},
		{`{"completed": {"$lt": "2026-11-20T10:26:07.579Z"}}`, "0 2"},
		{`{"completed": {"$lte": "2026-11-20T10:26:07.579Z"}}`, "0 2 4"},
		{`{"completed": "2026-11-20T10:26:07.579Z"}`, "4"},
		{`{"completed": {"$in": [null, "2026-11-20T10:26:07.579Z"]}}`, "1 3 4 5 7 9"},
		{`{"submitted": {"$gt": "2026-11-20T10:26:04.577Z", "$lt": "2026-11-20T10:26:07.577Z"}}`, "2 3"},
		{`{"submitted": {"$gte": "2026-11-20T10:26:10.577Z"}, "completed": null}`, "7 9"},
		{`{"engine_uuid": "engine-1", "queue": "mux"}`, "4"},
		{`{"queue": "mux", "engine_uuid": "engine-1", "client_uuid": "client"}`, "4"},
		{`{"engine_uuid": {"$ne": "engine-1"}, "completed": {"$ne": null}}`, "0 2 6 8"},
		{`{"engine_uuid": {"$gt": "engine-1"}}`, "2 5 8"},
		{`{"engine_uuid": {"$glob": "engine-[!12]"}}`, "0 3 6 9"},
		{`{"msg_id": {"$glob": "*_000[2-4]"}}`, "2 3 4"},
		{`{"resubmitted": {"$glob": "*"}}`, ""},
		{`{"resubmitted": null, "msg_id": "session_0002"}`, "2"},
		{`{"queue": {"$all": ["mux and task", ["mux", "x"]]}}`, "0 2 4 6 8"},
		{`{"queue": {"$mod": [2, 1]}}`, ""},
		{`{"no_such_field": null, "queue": "mux"}`, "0 2 4 6 8"},
		{`{"no_such_field": {"$ne": null}}`, ""},
		{`{"result_content": {"status": "ok"}}`, "0 2 4 6 8"},
		{`{"result_content": null}`, "1 3 5 7 9"},
		{`{"header": {"n": 3, "session": "client", "msg_id": "session_0003"}}`, "3"},
	} {
		if got := strings.Join(find(t, d, test.query), " "); got != test.want {
			t.Errorf("%s: %s, want %s", test.query, got, test.want)
		}
	}
}

func testOrder(t *testing.T, d db.DB) {
	for _, i := range []int{3, 1, 4, 0, 2} {
		must(t, d.Add(NewRecord(i)))
	}
	for _, i := range []int{4, 0, 2} {
		must(t, d.Update(NewRecord(i).MsgID, Finish(i)))
	}
	history, err := d.History()
	must(t, err)
	if got := strings.Join(history, " "); got != "session_0000 session_0001 session_0002 session_0003 session_0004" {
		t.Errorf("history %s", got)
	}
	if got := strings.Join(find(t, d, `{"completed": {"$ne": null}}`), ""); got != "024" {
		t.Errorf("completed %s", got)
	}
}

func testDrop(t *testing.T, d db.DB) {
	fill(t, d, 4)
	must(t, d.Drop("session_0001"))
	must(t, d.Drop("session_0002"))
	if got := strings.Join(find(t, d, `{}`), ""); got != "03" {
		t.Errorf("left: %s", got)
	}
	must(t, d.Add(NewRecord(1)))
	if got := strings.Join(find(t, d, `{"completed": null}`), ""); got != "13" {
		t.Errorf("pending: %s", got)
	}
}

func testDropMatching(t *testing.T, d db.DB) {
	fill(t, d, 10)
	q := db.Query{db.Must("completed", db.Ne, nil), db.Must("engine_uuid", db.Eq, "engine-0")}
	n, err := d.DropMatching(q)
	must(t, err)
	if n != 2 {
		t.Errorf("%d dropped, want 2", n)
	}
	if got := strings.Join(find(t, d, `{}`), ""); got != "12345789" {
		t.Errorf("left: %s", got)
	}
	n, err = d.DropMatching(q)
	must(t, err)
	if n != 0 {
		t.Errorf("%d dropped, want 0", n)
	}
}
