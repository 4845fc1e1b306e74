package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

func newTestSession(t testing.TB, scheme, key string) *Session {
	t.Helper()
	signer, err := NewSigner(scheme, key)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSession("", signer, "json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSchemes compares signatures with those of Python's hmac module.
func TestSchemes(t *testing.T) {
	m := Message{Header: []byte("head"), Parent: []byte("{}"), Metadata: []byte("{}"), Content: []byte("content")}
	for scheme, want := range schemes {
		signer, err := NewSigner(scheme, "a key")
		if err != nil {
			t.Fatal(err)
		}
		if got := string(signer.Sign(&m)); got != want {
			t.Errorf("%s: %s, want %s", scheme, got, want)
		}
	}
	for _, scheme := range []string{"", "sha256", "hmac-", "hmac-shake_128", "hmac-SHA256", "hmac-crc32"} {
		if _, err := NewSigner(scheme, "a key"); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", scheme)) {
			t.Errorf("%q: %v", scheme, err)
		}
	}
}

func TestVerify(t *testing.T) {
	s := newTestSession(t, "hmac-sha256", "a key")
	good, err := s.Message("x_request", nil, nil, nil, []byte("buffer"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(good.AppendFrames([][]byte{[]byte("id")})); err != nil {
		t.Fatal(err)
	}
	forged := good
	forged.Content = []byte(`{"a": 1}`)
	unsigned := good
	unsigned.Signature = nil
	upper := good
	upper.Signature = []byte(strings.ToUpper(string(good.Signature)))
	short := good
	short.Signature = good.Signature[:10]
	for _, test := range []struct {
		name   string
		frames [][]byte
		want   error
	}{
		{"again", good.AppendFrames(nil), ErrReplay},
		{"forged", forged.AppendFrames(nil), ErrBadSignature},
		{"unsigned", unsigned.AppendFrames(nil), ErrUnsigned},
		{"upper case", upper.AppendFrames(nil), ErrBadSignature},
		{"short", short.AppendFrames(nil), ErrBadSignature},
		{"no delimiter", [][]byte{[]byte("a"), []byte("b")}, ErrMalformed},
		{"cut", good.AppendFrames(nil)[:5], ErrMalformed},
		{"nothing", nil, ErrMalformed},
	} {
		if _, err := s.Open(test.frames); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
	if _, err := s.Peek(good.AppendFrames(nil)); err != nil {
		t.Errorf("peeked at again: %v", err)
	}
}

// TestForgeryBurnsNothing sends a forged message with a genuine signature first.
func TestForgeryBurnsNothing(t *testing.T) {
	s := newTestSession(t, "hmac-sha256", "a key")
	good, err := s.Message("x_request", nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	forged := good
	forged.Content = []byte(`{"a": 1}`)
	if _, err := s.Open(forged.AppendFrames(nil)); !errors.Is(err, ErrBadSignature) {
		t.Fatal(err)
	}
	if _, err := s.Open(good.AppendFrames(nil)); err != nil {
		t.Errorf("the genuine message was refused: %v", err)
	}
}

func TestNoKey(t *testing.T) {
	s := newTestSession(t, "hmac-sha256", "")
	m, err := s.Message("x_request", nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if m.Signature == nil || len(m.Signature) != 0 {
		t.Errorf("signature %q, want an empty frame", m.Signature)
	}
	for range 2 {
		if _, err := s.Open(m.AppendFrames(nil)); err != nil {
			t.Error(err)
		}
	}
}

func TestMessage(t *testing.T) {
	s := newTestSession(t, "hmac-sha256", "a key")
	if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{24}$`).MatchString(s.ID) {
		t.Errorf("session id %q", s.ID)
	}
	parent := []byte(`{"msg_id":   "p"}`)
	m, err := s.Message("x_reply", parent, map[string]any{"a": "<&>"}, json.RawMessage(`{"b": 1}`), []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if string(m.Parent) != string(parent) || string(m.Metadata) != `{"a":"<&>"}` || string(m.Content) != `{"b": 1}` || len(m.Buffers) != 1 {
		t.Errorf("message %+v", m)
	}
	h, err := PeekHeader(m.Header)
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^`+s.ID+`_\d+_0$`).MatchString(h.MsgID) || h.MsgType != "x_reply" || h.Session != s.ID || h.Version != "5.3" {
		t.Errorf("header %+v", h)
	}
	if at, err := ParseDate(h.Date); err != nil || time.Since(at) > time.Minute {
		t.Errorf("date %s: %v", h.Date, err)
	}
	plain, err := s.Message("x_request", nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if string(plain.Parent) != "{}" || string(plain.Metadata) != "{}" || string(plain.Content) != "{}" {
		t.Errorf("message %+v", plain)
	}
	if _, err := s.Message("x_request", nil, nil, func() {}); err == nil {
		t.Error("a function was packed")
	}
}

func TestCodecs(t *testing.T) {
	signer, err := NewSigner("hmac-sha256", "a key")
	if err != nil {
		t.Fatal(err)
	}
	for name, reason := range map[string]string{"pickle": "runs code", "": "not supported"} {
		if _, err := NewSession("", signer, name); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestHistory(t *testing.T) {
	h := history{size: 100}
	key := func(i int) []byte { return fmt.Appendf(nil, "%032x%032x", i, 0) }
	for i := range 100 {
		if !h.add(key(i)) {
			t.Fatalf("%d was there", i)
		}
		if h.add(key(i)) {
			t.Fatalf("%d was not remembered", i)
		}
	}
	if !h.add(key(100)) || len(h.seen) != 91 {
		t.Errorf("%d remembered after an overflow, want 91", len(h.seen))
	}
}

func TestConcurrentUse(t *testing.T) {
	s := newTestSession(t, "hmac-sha512", "a key")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				m, err := s.Message("x_request", nil, nil, nil)
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := s.Open(m.AppendFrames(nil)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestRemoteError(t *testing.T) {
	s := newTestSession(t, "hmac-sha256", "a key")
	text, err := json.Marshal(NewRemoteError("ImpossibleDependency", ""))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"status":"error","ename":"ImpossibleDependency","evalue":"","traceback":["Traceback (most recent call last):\n","ipyparallel.error.ImpossibleDependency\n"],"engine_info":{}}`
	if string(text) != want {
		t.Errorf("content %s, want %s", text, want)
	}
	for _, test := range []struct{ content, want string }{
		{`{"status": "ok"}`, "<nil>"},
		{`{"status": "aborted"}`, "TaskAborted: p"},
		{`{"status": "odd"}`, `reply has the unknown status "odd"`},
		{string(text), "ImpossibleDependency"},
		{`{"status": "error", "ename": "E", "evalue": "v", "traceback": "one", "engine_info": null}`, "E: v"},
		{`{"status": "error", "ename": "E", "evalue": "v", "traceback": ["a"], "engine_info": {"engine_uuid": "u", "engine_id": 3, "method": "apply"}}`, "[3:apply] E: v"},
		{`{"status": "error", "ename": "E", "evalue": "v", "traceback": ["a"], "engine_info": {"engine_uuid": "u"}}`, "[-1] E: v"},
	} {
		m := Message{Parent: []byte(`{"msg_id": "p"}`), Content: []byte(test.content)}
		if got := fmt.Sprint(s.ReplyError(&m)); got != test.want {
			t.Errorf("%s: %s, want %s", test.content, got, test.want)
		}
	}
	with := &RemoteError{Ename: "E", Traceback: []string{"a"}, EngineInfo: &EngineInfo{UUID: "u", ID: 0, Method: "apply"}}
	text, err = json.Marshal(with)
	if err != nil || !strings.Contains(string(text), `"engine_info":{"engine_uuid":"u","engine_id":0,"method":"apply"}`) {
		t.Errorf("content %s, %v", text, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("id\x00<IDS|MSG>\x00\x00{}\x00{}\x00{}\x00{}\x00buffer"))
	s := newTestSession(f, "hmac-sha256", "a key")
	f.Fuzz(func(t *testing.T, text []byte) {
		var frames [][]byte
		for part := range strings.SplitSeq(string(text), "\x00") {
			frames = append(frames, []byte(part))
		}
		if m, err := Parse(frames); err == nil {
			if got := len(m.AppendFrames(nil)); got != len(frames) {
				t.Fatalf("%d frames of %d", got, len(frames))
			}
		}
		if _, err := s.Open(frames); err == nil {
			t.Fatal("accepted without a signature")
		}
	})
}

func BenchmarkSign(b *testing.B) {
	s := newTestSession(b, "hmac-sha256", "0ef5e01e-7368c06304272e3dee6c9742")
	m := Message{Header: packedHeader, Parent: packedHeader, Metadata: []byte(metadataForms[2]), Content: []byte("{}")}
	m.Signature = s.signer.Sign(&m)
	b.Run("sign", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s.signer.Sign(&m)
		}
	})
	b.Run("verify", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := s.signer.Verify(&m); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkMessage(b *testing.B) {
	s := newTestSession(b, "hmac-sha256", "0ef5e01e-7368c06304272e3dee6c9742")
	content := json.RawMessage(`{"status": "ok"}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Message("apply_reply", packedHeader, nil, content); err != nil {
			b.Fatal(err)
		}
	}
}
