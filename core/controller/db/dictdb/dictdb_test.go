package dictdb

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/ipcore/ipcore/core/controller/db"
	"github.com/ipcore/ipcore/core/controller/db/dbtest"
)

func open(t testing.TB, o Options) *DB {
	t.Helper()
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestConformance(t *testing.T) {
	dbtest.Run(t, func(t *testing.T) db.DB { return open(t, Options{RecordLimit: -1}) })
}

// TestConformancePacked runs the suite with all records of ended tasks but one packed.
func TestConformancePacked(t *testing.T) {
	dbtest.Run(t, func(t *testing.T) db.DB {
		d := open(t, Options{RecordLimit: -1})
		d.hot.size = 1
		return d
	})
}

// TestPacked checks that packing and unpacking preserves every field.
func TestPacked(t *testing.T) {
	d := open(t, Options{RecordLimit: -1})
	d.hot.size = 1
	text, empty := "x = 1", ""
	when := time.Date(2026, 11, 20, 10, 26, 3, 577987000, time.UTC)
	full := db.Record{
		MsgID: "full", Header: []byte(`{"a": 1}`), Metadata: []byte("{}"), Content: []byte{}, Buffers: [][]byte{[]byte("b"), {}},
		Submitted: when, ClientUUID: "client", EngineUUID: &empty, Started: when.Add(time.Second), Completed: when.Add(2 * time.Second),
		Resubmitted: "other", Received: when.Add(3 * time.Second), ResultHeader: []byte("{}"), ResultMetadata: []byte("[]"),
		ResultContent: []byte("0"), ResultBuffers: [][]byte{[]byte("c")}, Queue: "mux", ExecuteInput: &text,
		ExecuteResult: []byte("1"), Error: []byte("2"), Stdout: []byte("3"), Stderr: []byte("4"), Label: "label",
	}
	function := bytes.Repeat([]byte("f"), minShared)
	first := db.Record{MsgID: "first", Header: []byte("{}"), Buffers: [][]byte{function, []byte("1")}, Completed: when}
	second := db.Record{MsgID: "second", Header: []byte("{}"), Buffers: [][]byte{bytes.Clone(function), {}}, Completed: when}
	bare := db.Record{MsgID: "bare", Header: []byte("{}"), Completed: when}
	last := db.Record{MsgID: "last", Header: []byte("{}"), Completed: when}
	for _, r := range []*db.Record{&full, &first, &second, &bare, &last} {
		if err := d.Add(r); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []db.Record{full, first, second, bare} {
		if e := d.byID[want.MsgID]; e.hot != nil {
			t.Errorf("%s is not packed", want.MsgID)
		}
		got, err := d.Get(want.MsgID)
		if err != nil || !reflect.DeepEqual(*got, want) {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
	}
	if d.byID["first"].shared != d.byID["second"].shared {
		t.Error("equal frames are not shared")
	}
	if d.byID["last"].hot == nil {
		t.Error("the last one is packed")
	}
	more := db.Change{Set: db.FieldSet(db.Stdout), Record: db.Record{Stdout: []byte("5")}}
	if err := d.Update("full", &more); err != nil {
		t.Fatal(err)
	}
	if got, err := d.Get("full"); err != nil || string(got.Stdout) != "35" || string(got.Stderr) != "4" {
		t.Errorf("%+v, %v", got, err)
	}
}

func add(t testing.TB, d *DB, i int, done bool) {
	t.Helper()
	r := dbtest.NewRecord(i)
	if err := d.Add(r); err != nil {
		t.Fatal(err)
	}
	if done {
		if err := d.Update(r.MsgID, dbtest.Finish(i)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRecordLimit(t *testing.T) {
	d := open(t, Options{RecordLimit: 20})
	for i := range 50 {
		add(t, d, i, false)
	}
	if len(d.byID) != 50 {
		t.Fatalf("%d records, pending ones were dropped", len(d.byID))
	}
	for i := range 20 {
		if err := d.Update(dbtest.NewRecord(i).MsgID, dbtest.Finish(i)); err != nil {
			t.Fatal(err)
		}
	}
	if len(d.byID) != 50 {
		t.Fatalf("%d records at the limit, want 50", len(d.byID))
	}
	if err := d.Update(dbtest.NewRecord(20).MsgID, dbtest.Finish(20)); err != nil {
		t.Fatal(err)
	}
	if len(d.byID) != 48 {
		t.Fatalf("%d records, want a tenth of 20 dropped", len(d.byID))
	}
	for i := range 3 {
		_, err := d.Get(dbtest.NewRecord(i).MsgID)
		if i < 2 && !errors.Is(err, db.ErrCulled) || i == 2 && err != nil {
			t.Errorf("record %d: %v", i, err)
		}
	}
	_, err := d.Get("session_0000")
	if want := `KeyError: "Record 'session_0000' has been culled for size"`; err.Error() != want {
		t.Errorf("error %s, want %s", err, want)
	}
	if err := d.Update("session_0000", dbtest.Finish(0)); !errors.Is(err, db.ErrCulled) {
		t.Errorf("update of a culled record: %v", err)
	}
}

// finishedSize returns the size of record i when it is completed.
func finishedSize(i int) int64 {
	r := dbtest.NewRecord(i)
	dbtest.Finish(i).Apply(r)
	return r.Size()
}

func TestSizeLimit(t *testing.T) {
	size := finishedSize(10) // the largest of them
	d := open(t, Options{SizeLimit: 11 * size, CullFraction: 0.5})
	for i := range 11 {
		add(t, d, i, true)
	}
	if len(d.byID) != 11 {
		t.Errorf("%d records, want all 11 kept within the limit", len(d.byID))
	}
	add(t, d, 11, true)
	if len(d.byID) != 5 || d.doneSize > 5*size {
		t.Errorf("%d records of %d bytes, want 5 of at most %d", len(d.byID), d.doneSize, 5*size)
	}
	big := make([]byte, 20*size)
	if err := d.Update("session_0011", &db.Change{Set: db.FieldSet(db.Stdout), Record: db.Record{Stdout: big}}); err != nil {
		t.Fatal(err)
	}
	if len(d.byID) != 0 || d.doneSize != 0 {
		t.Errorf("%d records of %d bytes, want none", len(d.byID), d.doneSize)
	}
}

// TestIndexes compares query results with those of a full scan, after random changes.
func TestIndexes(t *testing.T) {
	d := open(t, Options{RecordLimit: 300})
	d.hot.size = 100
	random := rand.New(rand.NewPCG(1, 2))
	queries := []string{
		`{"completed": null}`, `{"completed": {"$ne": null}}`, `{"completed": {"$gt": "2026-11-20T10:30:00Z"}}`,
		`{"completed": {"$lte": "2026-11-20T10:30:00Z"}, "queue": "mux"}`, `{"submitted": {"$lt": "2026-11-20T10:29:00Z"}}`,
		`{"submitted": {"$gte": "2026-11-20T10:29:00Z"}, "completed": {"$exists": false}}`, `{}`,
	}
	for step := range 3000 {
		i := random.IntN(500)
		id := dbtest.NewRecord(i).MsgID
		switch random.IntN(4) {
		case 0, 1:
			_ = d.Add(dbtest.NewRecord(i)) // may exist
		case 2:
			_ = d.Update(id, dbtest.Finish(random.IntN(500))) // may not exist
		case 3:
			_ = d.Drop(id) // may not exist
		}
		if step%100 != 0 {
			continue
		}
		for _, text := range queries {
			q, err := db.ParseQuery([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for id, e := range d.byID {
				if q.Match(e.record()) {
					want = append(want, id)
				}
			}
			found, err := d.Find(q, db.AllFields)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for k, r := range found {
				got = append(got, r.MsgID)
				if k > 0 && found[k-1].Submitted.After(r.Submitted) {
					t.Fatalf("%s: not in order", text)
				}
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Fatalf("step %d: %s: %d records, want %d", step, text, len(got), len(want))
			}
		}
	}
}

func BenchmarkTask(b *testing.B) {
	d := open(b, Options{})
	b.ReportAllocs()
	records := make([]*db.Record, b.N)
	for i := range records {
		records[i] = dbtest.NewRecord(i)
		records[i].Submitted = time.Unix(int64(i), 0)
	}
	done := dbtest.Finish(0)
	b.ResetTimer()
	for _, r := range records {
		_ = d.Add(r)
		done.Completed = r.Submitted
		_ = d.Update(r.MsgID, done)
	}
}

func BenchmarkFind100k(b *testing.B) {
	d := open(b, Options{RecordLimit: -1})
	for i := range 100_000 {
		add(b, d, i, i < 99_990)
	}
	for _, query := range []string{
		`{"completed": null}`, `{"msg_id": "session_5000"}`, `{"submitted": {"$gt": "2026-11-21T14:12:00Z"}}`,
		`{"engine_uuid": "engine-1", "queue": "mux"}`,
	} {
		q, err := db.ParseQuery([]byte(query))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(query, func(b *testing.B) {
			var n int
			for range b.N {
				found, err := d.Find(q, db.AllFields)
				if err != nil {
					b.Fatal(err)
				}
				n = len(found)
			}
			b.ReportMetric(float64(n), "records")
			_ = fmt.Sprint(n)
		})
	}
}
