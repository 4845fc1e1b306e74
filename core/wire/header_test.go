package wire

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestPeekHeader(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       Header
		bad        bool
	}{
		{"empty", `{}`, Header{}, false},
		{"spaces and order", " { \"session\" :\t\"s\" ,\r\n\"msg_id\":\"1\"} ", Header{MsgID: "1", Session: "s"}, false},
		{"escapes", `{"msg_id": "a\"\\\/\b\f\n\r\té😀", "\u006dsg_type": "x"}`, Header{MsgID: "a\"\\/\b\f\n\r\té😀", MsgType: "x"}, false},
		{"escaped unicode", `{"msg_id": "\u00e9\ud83d\ude00\ud83d\u0041\ude00"}`, Header{MsgID: "é😀\ufffdA\ufffd"}, false},
		{"not UTF-8", "{\"msg_id\": \"a\xff\"}", Header{MsgID: "a\ufffd"}, false},
		{"nested values", `{"x": {"msg_id": "no", "y": [1, -2.5e+3, true, false, null, {"z": "}"}]}, "msg_id": "1"}`, Header{MsgID: "1"}, false},
		{"null", `{"msg_id": null, "session": "s"}`, Header{Session: "s"}, false},
		{"the last wins", `{"msg_id": "1", "msg_id": "2"}`, Header{MsgID: "2"}, false},
		{"not text", `{"msg_id": 5}`, Header{}, true},
		{"not an object", `["msg_id"]`, Header{}, true},
		{"nothing", ``, Header{}, true},
		{"cut", `{"msg_id": "1"`, Header{}, true},
		{"cut in a string", `{"msg_id": "1`, Header{}, true},
		{"cut in an escape", `{"msg_id": "\u12`, Header{}, true},
		{"more after it", `{} {}`, Header{}, true},
		{"NUL after it", "{}\x00", Header{}, true},
		{"trailing comma", `{"a": 1,}`, Header{}, true},
		{"bad escape", `{"msg_id": "\x"}`, Header{}, true},
		{"control character", "{\"msg_id\": \"\n\"}", Header{}, true},
		{"bad number", `{"a": 01}`, Header{}, true},
		{"bad word", `{"a": nul}`, Header{}, true},
		{"deep", `{"a": ` + strings.Repeat("[", 100_000) + `}`, Header{}, true},
	} {
		got, err := PeekHeader([]byte(test.text))
		if (err != nil) != test.bad || got != test.want {
			t.Errorf("%s: %+v, %v; want %+v", test.name, got, err, test.want)
		}
	}
}

func FuzzPeekHeader(f *testing.F) {
	f.Add([]byte(`{"msg_id": "1", "msg_type": "t", "username": "u", "session": "s", "date": "d", "version": "5.3"}`))
	f.Add([]byte(`{"x": {"msg_id": [1, -2.5e+3, null]}, "msg_id": "\u00e9\ud83d\ude00\n"}`))
	f.Add([]byte("{\"msg_id\": \"\xff\"} "))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := PeekHeader(text)
		text, bad := plain(text)
		if bad != nil {
			if err == nil {
				t.Fatalf("%q accepted as %+v", text, got)
			}
			return
		}
		var fields map[string]any
		valid := json.Unmarshal(text, &fields) == nil && fields != nil
		if err == nil && !valid {
			t.Fatalf("%q accepted as %+v", text, got)
		}
		if !valid || strings.Count(string(text), "[")+strings.Count(string(text), "{") > maxDepth {
			return
		}
		var want Header
		for key, field := range map[string]*string{
			"msg_id": &want.MsgID, "msg_type": &want.MsgType, "username": &want.Username,
			"session": &want.Session, "date": &want.Date, "version": &want.Version,
		} {
			switch v := fields[key].(type) {
			case nil:
			case string:
				*field = v
			default: // refused, as is an earlier duplicate of another type
				if err == nil {
					t.Fatalf("%q: %s accepted as %+v", text, key, got)
				}
				return
			}
		}
		if err == nil && got != want {
			t.Fatalf("%q: %+v, want %+v", text, got, want)
		}
	})
}

func FuzzPeekMetadata(f *testing.F) {
	for _, text := range metadataForms {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		_, err := PeekMetadata(text)
		if text, bad := plain(text); err == nil && (bad != nil || !json.Valid(text)) {
			t.Fatalf("%q accepted", text)
		}
	})
}

// metadataForms are what Python's clients and engines send.
var metadataForms = []string{
	`{}`,
	`{"label": null}`,
	`{"after": [], "follow": [], "timeout": 0.0, "targets": [], "retries": 0, "label": null}`,
	`{"after": ["a", "b"], "follow": {"dependencies": ["c"], "all": false, "success": true, "failure": true}, "timeout": null, "targets": ["u1", "u2"], "retries": 3}`,
	`{"targets": [["u1", 0], ["u2", 1]], "is_broadcast": true, "is_coalescing": false, "original_msg_id": "m"}`,
	`{"started": "2026-11-20T10:26:03.582863Z", "dependencies_met": false, "engine": "u", "status": "error", "engine_info": {"engine_uuid": "u", "engine_id": 0}}`,
}

func TestPeekMetadata(t *testing.T) {
	for _, text := range metadataForms {
		checkMetadata(t, []byte(text))
	}
	for _, text := range []string{
		``, `[]`, `{"retries": "3"}`, `{"retries": 1.5}`, `{"retries": 1e300}`, `{"timeout": 1e999}`, `{"targets": [1]}`,
		`{"targets": [["u"]]}`, `{"targets": [["u", 1, 2]]}`, `{"after": 5}`, `{"after": [5]}`, `{"dependencies_met": "no"}`,
	} {
		if m, err := PeekMetadata([]byte(text)); err == nil {
			t.Errorf("%s accepted as %+v", text, m)
		}
	}
}

func TestAppendString(t *testing.T) {
	for _, s := range []string{"", "plain", "\"\\\n\x00\x1f\x7f", "é😀", "\u2028<&>"} {
		var back string
		if err := json.Unmarshal(AppendString(nil, s), &back); err != nil || back != s {
			t.Errorf("%q: %q, %v", s, back, err)
		}
	}
	if !utf8.Valid(AppendString(nil, "\xff")) {
		t.Error("not UTF-8")
	}
}

func TestDates(t *testing.T) {
	at := time.Date(2026, 11, 20, 10, 26, 3, 577987999, time.FixedZone("", 3600))
	if got := FormatDate(at); got != "2026-11-20T09:26:03.577987Z" {
		t.Errorf("formatted %s", got)
	}
	utc := time.Date(2026, 11, 20, 9, 26, 3, 577987000, time.UTC)
	for text, want := range map[string]time.Time{
		"2026-11-20T09:26:03.577987Z":      utc,
		"2026-11-20T10:26:03.577987+01:00": utc,
		"2026-11-20T04:26:03.577987-0500":  utc,
		"2026-11-20T09:26:03.577987123Z":   utc,
		"2026-11-20T09:26:03.5Z":           utc.Truncate(time.Second).Add(500 * time.Millisecond),
		"2026-11-20T09:26:03+00:00":        utc.Truncate(time.Second),
		"2026-11-20T09:26:03":              time.Date(2026, 11, 20, 9, 26, 3, 0, time.Local),
	} {
		if got, err := ParseDate(text); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "now", "2026-11-20", "2026-11-20 09:26:03Z", "2026-13-20T09:26:03Z", "2026-02-30T09:26:03Z", "2026-11-20T24:26:03Z",
		"2026-11-20T09:26:03.Z", "2026-11-20T09:26:03X", "2026-11-20T09:26:03+1", "2026-11-20T09:26:03Z ", "+026-11-20T09:26:03Z",
	} {
		if got, err := ParseDate(text); err == nil {
			t.Errorf("%q read as %v", text, got)
		}
	}
}

var packedHeader = []byte(`{"msg_id": "081bccd4-841528c9d8e33852e9155b76_8987_16", "msg_type": "apply_request", "username": "username", "session": "081bccd4-841528c9d8e33852e9155b76", "date": "2026-11-20T10:26:04.436865Z", "version": "5.3"}`)

func BenchmarkPeekHeader(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := PeekHeader(packedHeader); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPeekMetadata(b *testing.B) {
	for _, text := range metadataForms {
		b.Run(text[:min(len(text), 30)], func(b *testing.B) {
			packed := []byte(text)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := PeekMetadata(packed); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
