package db

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestBadQueries(t *testing.T) {
	for _, test := range []struct{ query, want string }{
		{`[]`, "TypeError"},
		{`"x"`, "TypeError"},
		{`{"$or": []}`, "KeyError: '$or'"},
		{`{"msg_id": {"$foo": 1}}`, "KeyError: '$foo'"},
		{`{"msg_id": {"$eq": 1, "x": 2}}`, "KeyError: 'x'"},
		{`{"completed": {"$gt": null}}`, "TypeError: '>' not supported between instances of 'datetime.datetime' and 'NoneType'"},
		{`{"completed": {"$lte": "soon"}}`, "TypeError: '<=' not supported between instances of 'datetime.datetime' and 'str'"},
		{`{"msg_id": {"$lt": 5}}`, "TypeError: '<' not supported between instances of 'str' and 'float'"},
		{`{"header": {"$lt": {}}}`, "TypeError"},
		{`{"buffers": {"$lt": []}}`, "TypeError"},
		{`{"no_such_field": {"$lt": null}}`, "TypeError"},
		{`{"msg_id": {"$in": "x"}}`, "TypeError"},
		{`{"msg_id": {"$nin": null}}`, "TypeError"},
		{`{"msg_id": {"$all": {}}}`, "TypeError"},
		{`{"msg_id": {"$exists": 1}}`, "TypeError"},
		{`{"msg_id": {"$glob": 1}}`, "TypeError"},
		{`{"msg_id": {"$mod": [0, 1]}}`, "ValueError"},
		{`{"msg_id": {"$mod": [1]}}`, "ValueError"},
		{`{"msg_id": {"$mod": ["a", "b"]}}`, "ValueError"},
	} {
		_, err := ParseQuery([]byte(test.query))
		if !errors.Is(err, ErrQuery) || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", test.query, err, test.want)
		}
	}
}

func TestGlob(t *testing.T) {
	for _, test := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"**", "abc", true}, {"a*c", "abbc", true}, {"a*c", "abbcd", false},
		{"?", "é", true}, {"?", "", false}, {"[abc]x", "bx", true}, {"[!abc]x", "bx", false}, {"[a-c]", "b", true}, {"[a-c]", "d", false},
		{"[]]", "]", true}, {"[!]]", "]", false}, {"[", "[", true}, {"[a", "[a", true}, {"[!", "[!", true}, {"[a-]", "-", true},
		{`\*`, `\x`, true}, {"*/b", "a/x/b", true}, {"A", "a", false}, {"*.py", ".py", true}, {"a*b*c", "aXbYbZc", true},
		{strings.Repeat("*a", 50) + "*b", strings.Repeat("a", 5000), false},
	} {
		if got := matchGlob(test.pattern, test.text); got != test.want {
			t.Errorf("%q of %q: %v", test.pattern, test.text, got)
		}
	}
}

func TestMatchValues(t *testing.T) {
	at := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	r := &Record{
		MsgID: "id", Header: []byte(`{"n": 1, "date": "2026-11-20T10:00:00Z"}`), Completed: at,
		Buffers: [][]byte{[]byte("a"), []byte("b")}, Stdout: []byte("2026-11-20T10:00:00Z"),
	}
	for query, want := range map[string]bool{
		`{"header": {"date": "2026-11-20T10:00:00Z", "n": 1}}`:                           true,
		`{"header": {"n": 1}}`:                                                           false,
		`{"stdout": "2026-11-20T10:00:00Z"}`:                                             true, // a string, not a date
		`{"completed": {"$all": ["2026-11-20T10:00:00Z", "2026-11-20T11:00:00+01:00"]}}`: true,
		`{"completed": {"$all": ["2026-11-20T10:00:00Z", "x"]}}`:                         false,
		`{"completed": {"$glob": "2026-11-20T*"}}`:                                       true,
		`{"completed": {"$nin": [null]}}`:                                                true,
		`{"completed": {"$ne": "2026-11-20T10:00:00Z"}}`:                                 false,
		`{"completed": {"$mod": [2, 0]}}`:                                                false,
		`{"started": {"$lt": "2026-11-20T10:00:00Z"}}`:                                   false, // null
		`{"started": {"$ne": "2026-11-20T10:00:00Z"}}`:                                   true,
		`{"buffers": {"$all": ["a"]}}`:                                                   true,
		`{"buffers": {"$all": ["c"]}}`:                                                   false,
		`{"result_buffers": null}`:                                                       true,
		`{"metadata": null}`:                                                             true,
		`{"engine_uuid": {"$nin": ["x"]}}`:                                               true,
		`{"engine_uuid": {"$exists": false}}`:                                            true,
		`{"msg_id": {"$eq": "id", "$ne": "other", "$exists": true}}`:                     true,
		`{"msg_id": {"$gte": "id", "$lte": "id"}}`:                                       true,
		`{"msg_id": 5}`: false,
	} {
		q, err := ParseQuery([]byte(query))
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		if got := q.Match(r); got != want {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
}

func TestMod(t *testing.T) {
	c := Must("n", Mod, []any{-3.0, -2.0})
	if !c.matchValue(7.0) || c.matchValue(8.0) || c.matchValue("7") || c.matchValue(nil) {
		t.Error("7 % -3 is -2")
	}
}

func TestRecordJSON(t *testing.T) {
	r := &Record{
		MsgID: "a\"b", Header: []byte(`{"a": 1}`), Content: []byte(`{broken`), ResultContent: []byte("{\"a\": \"\xff\"}"), Stdout: []byte("\xff"),
		Submitted: time.Date(2026, 11, 20, 11, 0, 0, 123456789, time.FixedZone("", 3600)),
	}
	for field, want := range map[Field]string{
		MsgID: `"a\"b"`, Header: `{"a": 1}`, Content: "null", ResultContent: "null", Metadata: "null", Submitted: `"2026-11-20T10:00:00.123456Z"`,
		Completed: "null", EngineUUID: "null", Stdout: `"\ufffd"`, Stderr: `""`, Label: "null", Queue: "null", Buffers: "null",
	} {
		if got := string(r.AppendJSON(nil, field)); got != want || !json.Valid([]byte(got)) {
			t.Errorf("%s: %s, want %s", field.Name(), got, want)
		}
	}
}

func TestParseKeys(t *testing.T) {
	all, err := ParseKeys(nil)
	if err != nil || all.Has(Buffers) || all.Has(ResultBuffers) || len(all.List()) != int(fieldCount)-2 {
		t.Errorf("no keys: %v, %v", all.List(), err)
	}
	some, err := ParseKeys([]string{"completed", "buffers"})
	if err != nil || some != FieldSet(MsgID, Completed, Buffers) {
		t.Errorf("keys: %v, %v", some.List(), err)
	}
	if _, err := ParseKeys([]string{"nope"}); !errors.Is(err, ErrQuery) || err.Error() != "KeyError: 'nope'" {
		t.Errorf("unknown key: %v", err)
	}
}

func TestOutputIsBounded(t *testing.T) {
	r := &Record{}
	c := &Change{Set: FieldSet(Stdout), Record: Record{Stdout: make([]byte, MaxOutput/2+1)}}
	for range 5 {
		c.Apply(r)
	}
	if len(r.Stdout) != MaxOutput+len(outputCut) || !strings.HasSuffix(string(r.Stdout), outputCut) {
		t.Errorf("%d bytes kept", len(r.Stdout))
	}
}

func TestRecent(t *testing.T) {
	const size, added = 3 * blockIDs, 10 * blockIDs
	m := NewRecent(size)
	for i := range added {
		m.Add(strconv.Itoa(i))
		if i%1000 == 0 && !m.Has(strconv.Itoa(i)) {
			t.Fatalf("%d forgotten at once", i)
		}
	}
	for i := range added + 10 {
		has := m.Has(strconv.Itoa(i))
		switch {
		case i >= added-size && i < added && !has:
			t.Fatalf("%d of the last %d ids is forgotten", i, size)
		case (i < added-size-blockIDs || i >= added) && has:
			t.Fatalf("%d is remembered", i)
		}
	}
}

func TestErrorTexts(t *testing.T) {
	for err, want := range map[error]string{
		Unknown("x"):   `KeyError: "No such msg_id 'x'"`,
		Culled("x"):    `KeyError: "Record 'x' has been culled for size"`,
		Duplicate("x"): `KeyError: "Already have msg_id 'x'"`,
	} {
		if err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func FuzzParseQuery(f *testing.F) {
	f.Add([]byte(`{"completed": {"$ne": null, "$gt": "2026-11-20T10:00:00Z"}, "msg_id": {"$in": ["a", 1, null]}}`))
	f.Add([]byte(`{"msg_id": {"$glob": "*[!a-z]?["}, "header": {"a": {}}, "x": {"$mod": [2, 1]}, "queue": {"$all": [["a"]]}}`))
	r := &Record{MsgID: "a", Header: []byte(`{"a": {}}`), Completed: time.Unix(1, 0), Buffers: [][]byte{nil}}
	f.Fuzz(func(_ *testing.T, text []byte) {
		if q, err := ParseQuery(text); err == nil {
			q.Match(r)
			q.Match(&Record{})
		}
	})
}
