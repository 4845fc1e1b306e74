package dbtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ipcore/ipcore/core/controller/db"
)

// testOracle applies random changes to the database and to a map, and compares the
// results of random queries on both.
func testOracle(t *testing.T, d db.DB) {
	o := newOracle(oracleIDs)
	enough := time.Now().Add(oracleTime)
	for step := range 1500 {
		if time.Now().After(enough) {
			break // a slow server; the sequence of changes and queries is the same each time
		}
		o.change(t, d)
		if step%25 == 0 {
			o.compare(t, d)
		}
		if f, ok := d.(interface{ Flush() }); ok && step%200 == 0 {
			f.Flush() // some changes are written, some queued
		}
	}
	for range 150 {
		if time.Now().After(enough.Add(oracleTime / 2)) {
			break
		}
		o.compare(t, d)
	}
}

// testHistory compares the results of random queries on a long history with those of
// checking every record: 2,000 records, or 100,000 with IPCORE_TEST_LONG=1.
func testHistory(t *testing.T, d db.DB) {
	n, queries, limit := 2_000, 60, 5*time.Second
	if os.Getenv("IPCORE_TEST_LONG") == "1" {
		n, queries, limit = 100_000, 150, 2*time.Minute
	}
	o := newOracle(n)
	enough := time.Now().Add(limit)
	for i := range n {
		if time.Now().After(enough) {
			t.Logf("only %d records: the database is slow", i)
			break
		}
		r := NewRecord(i)
		r.Buffers = nil
		r.Label = []string{"", "a_1", "a_2", "b[1]"}[o.IntN(4)]
		mine := *r
		must(t, d.Add(r))
		if o.IntN(10) > 0 {
			c := Finish(i)
			must(t, d.Update(mine.MsgID, c))
			c = Finish(i)
			c.Apply(&mine)
		}
		o.records[mine.MsgID] = &mine
	}
	if f, ok := d.(interface{ Flush() }); ok {
		f.Flush()
	}
	enough = time.Now().Add(limit)
	for i := range queries {
		if time.Now().After(enough) {
			t.Logf("only %d queries: the database is slow", i)
			break
		}
		o.compare(t, d)
	}
}

// oracle is a database that is too simple to be wrong.
type oracle struct {
	*rand.Rand
	ids     int
	records map[string]*db.Record
}

func newOracle(ids int) *oracle {
	return &oracle{Rand: rand.New(rand.NewPCG(3, 4)), ids: ids, records: make(map[string]*db.Record)}
}

const (
	oracleIDs  = 150
	oracleTime = 10 * time.Second
)

func (o *oracle) change(t *testing.T, d db.DB) {
	t.Helper()
	i := o.IntN(o.ids)
	id := NewRecord(i).MsgID
	known := o.records[id]
	var err error
	var kind error
	switch o.IntN(10) {
	case 0, 1, 2, 3:
		r := NewRecord(i)
		r.Label = []string{"", "a_1", "a_2", "b[1]"}[o.IntN(4)]
		if o.IntN(5) == 0 {
			r = &db.Record{MsgID: id, Stdout: []byte("early")}
		}
		mine := *r
		if err = d.Add(r); known == nil {
			o.records[id] = &mine
		} else {
			kind = db.ErrDuplicate
		}
	case 4, 5, 6:
		kind = o.update(id, known, Finish(o.IntN(o.ids)), &err, d)
	case 7, 8:
		c := &db.Change{Set: db.FieldSet(db.Stdout, db.EngineUUID), Record: db.Record{Stdout: fmt.Appendf(nil, "%d\n", o.IntN(9))}}
		engine := fmt.Sprintf("engine-%d", o.IntN(4))
		if o.IntN(4) > 0 {
			c.EngineUUID = &engine
		}
		kind = o.update(id, known, c, &err, d)
	case 9:
		err = d.Drop(id)
		if known == nil {
			kind = db.ErrUnknown
		}
		delete(o.records, id)
	}
	if !errors.Is(err, kind) {
		t.Fatalf("%s: %v, want %v", id, err, kind)
	}
}

func (o *oracle) update(id string, known *db.Record, c *db.Change, err *error, d db.DB) error {
	mine := *c
	*err = d.Update(id, c)
	if known == nil {
		return db.ErrUnknown
	}
	mine.Apply(known)
	return nil
}

// compare runs a random query on both.
func (o *oracle) compare(t *testing.T, d db.DB) {
	t.Helper()
	text := o.query()
	q, err := db.ParseQuery(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	keys := db.AllFields
	if o.IntN(2) == 0 {
		keys = db.FieldSet(db.MsgID, db.Completed, db.Queue)
	}
	found, err := d.Find(q, keys)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if !slices.IsSortedFunc(found, func(a, b *db.Record) int { return a.Submitted.Compare(b.Submitted) }) {
		t.Fatalf("%s: not in order of submission", text)
	}
	got := make(map[string]bool)
	for _, r := range found {
		got[r.MsgID] = true
		want := o.records[r.MsgID]
		if want == nil || !q.Match(want) {
			t.Fatalf("%s: finds %s, which does not match", text, r.MsgID)
		}
		if keys == db.AllFields {
			same(t, r, want)
		}
	}
	for id, r := range o.records {
		if q.Match(r) != got[id] {
			t.Fatalf("%s: does not find %s", text, id)
		}
	}
}

// query returns a random query of up to three conditions.
func (o *oracle) query() []byte {
	query := make(map[string]any)
	for range o.IntN(4) {
		field := o.pick([]any{"msg_id", "submitted", "completed", "started", "engine_uuid", "queue", "label", "stdout", "client_uuid",
			"resubmitted", "result_content", "header", "no_such_field"}).(string)
		query[field] = o.condition(field)
	}
	text, err := json.Marshal(query)
	if err != nil {
		panic(err)
	}
	return text
}

func (o *oracle) pick(list []any) any { return list[o.IntN(len(list))] }

func (o *oracle) condition(field string) any {
	value := func() any { return o.value(field) }
	list := func() []any {
		l := []any{value(), value(), value()}
		return l[:o.IntN(4)]
	}
	f, known := db.FieldNamed(field)
	operators := make(map[string]any)
	for range 1 + o.IntN(2) {
		switch o.IntN(9) {
		case 0:
			return value()
		case 1:
			operators["$eq"] = value()
		case 2:
			operators["$ne"] = value()
		case 3:
			operators["$in"] = list()
		case 4:
			operators["$nin"] = list()
		case 5:
			operators["$exists"] = o.IntN(2) == 0
		case 6:
			operators["$glob"] = o.pick([]any{"*", "engine-[!1]", "*_00?[0-5]", "a_*", "b[[]1]", "m*x", "?*\n", "2026-11-20T10:2[67]:*"})
		case 7:
			operators["$all"] = list()
		case 8:
			op := o.pick([]any{"$lt", "$lte", "$gt", "$gte"}).(string)
			if v, ok := value().(string); ok && (!known || f.Kind() == db.Time || f.Kind() == db.Text) {
				operators[op] = v
			}
		}
	}
	if len(operators) == 0 {
		return value()
	}
	return operators
}

// value returns a random value like those of a field.
func (o *oracle) value(field string) any {
	i := o.IntN(o.ids)
	at := start.Add(time.Duration(i) * time.Second)
	switch {
	case o.IntN(8) == 0 && field != "submitted" && field != "completed" && field != "started":
		return nil
	case field == "msg_id":
		return NewRecord(i).MsgID
	case field == "submitted":
		return at.Format(time.RFC3339Nano)
	case field == "completed":
		return at.Add(2 * time.Millisecond).In(time.FixedZone("", 3600)).Format(time.RFC3339Nano)
	case field == "started":
		return at.Add(time.Millisecond + time.Duration(o.IntN(2))*300*time.Microsecond).Format(time.RFC3339Nano)
	case field == "engine_uuid":
		return fmt.Sprintf("engine-%d", o.IntN(4))
	case field == "queue":
		return o.pick([]any{"mux", "task", "mux and task", 5})
	case field == "label":
		return o.pick([]any{"a_1", "a_2", "b[1]", ""})
	case field == "stdout":
		return o.pick([]any{"early", "", "early" + strings.Repeat("1\n", 1), "3\n"})
	case field == "result_content":
		return map[string]any{"status": "ok"}
	case field == "header":
		return map[string]any{"msg_id": NewRecord(i).MsgID, "session": "client", "n": i}
	}
	return "client"
}
