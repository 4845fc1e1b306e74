package wire

import (
	"encoding/json"
	"testing"
)

func TestViewStream(t *testing.T) {
	for _, text := range []string{
		`{"name": "stdout", "text": "a line\n"}`, `{"text": "\ud83d\ude00 \u00e9 é\\ \ud800 x", "name": "stderr"}`, `{}`,
		`{"name": null, "text": "", "more": [{"a": "\t"}]}`, "{\"name\": \"\xff\xfe\", \"text\": \"a\xffb\\n\xc3\"}", ` {"text" : "x" } `,
	} {
		var want struct{ Name, Text string }
		if err := json.Unmarshal([]byte(text), &want); err != nil {
			t.Fatal(err)
		}
		if got, err := ViewStream([]byte(text)); err != nil || got != Stream(want) {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{``, `[]`, `{"name": 1}`, `{"text": "x}`, `{"text": "x"} y`} {
		if got, err := ViewStream([]byte(text)); err == nil {
			t.Errorf("%s: %+v", text, got)
		}
	}
}

func BenchmarkViewStream(b *testing.B) {
	packed := []byte(`{"name": "stdout", "text": "some output of a task, as long as lines are\nsome output of a task, as long as lines are\n"}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ViewStream(packed); err != nil {
			b.Fatal(err)
		}
	}
}
