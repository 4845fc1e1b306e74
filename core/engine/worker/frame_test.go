package worker

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"testing"
)

func TestFrame(t *testing.T) {
	for _, want := range []frame{
		{kind: kindReply},
		{kind: kindReply, flags: 3, parts: [][]byte{[]byte("id"), []byte("ok"), nil}},
		{kind: kindDisplay, parts: [][]byte{make([]byte, smallFrame-1), make([]byte, smallFrame), []byte("x"), make([]byte, 3*smallFrame)}},
	} {
		text := want.appendAll(nil)
		if len(text) != want.size() {
			t.Errorf("size %d, written %d", want.size(), len(text))
		}
		if got := bytes.Join(want.buffers(), nil); !bytes.Equal(got, text) {
			t.Error("buffers differ from the whole frame")
		}
		var got frame
		r := bufio.NewReader(bytes.NewReader(append(text, text...)))
		for range 2 {
			if err := got.read(r); err != nil {
				t.Fatal(err)
			}
			if again := got.appendAll(nil); !bytes.Equal(again, text) {
				t.Errorf("%d bytes became %d", len(text), len(again))
			}
		}
		if err := got.read(r); !errors.Is(err, io.EOF) {
			t.Errorf("at the end: %v", err)
		}
		for cut := 1; cut < min(len(text), 40); cut++ {
			if err := got.read(bufio.NewReader(bytes.NewReader(text[:cut]))); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("cut after %d: %v", cut, err)
			}
		}
	}
}

// A wrong length allocates at most 256 MiB, which are never touched.
func TestFrameLies(t *testing.T) {
	text := []byte{kindReply, 0, 1, 0, 0, 0, 0, 0, 0xff, 0, 0, 0, 'x'}
	var f frame
	if err := f.read(bufio.NewReader(bytes.NewReader(text))); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
	text[10] = 1
	if err := f.read(bufio.NewReader(bytes.NewReader(text))); !errors.Is(err, errNotFrame) {
		t.Errorf("got %v", err)
	}
}

func FuzzFrame(f *testing.F) {
	ok := frame{kind: kindReply, parts: [][]byte{[]byte("id"), []byte("ok")}}
	f.Add(ok.appendAll(nil))
	f.Add([]byte("print('hello')"))
	f.Add([]byte{kindReply, 0, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, text []byte) {
		var got frame
		if got.read(bufio.NewReader(bytes.NewReader(text))) != nil {
			return
		}
		if again := got.appendAll(nil); !bytes.HasPrefix(text, again) {
			t.Errorf("%q was read as %q", text, again)
		}
	})
}

func TestWholeRunes(t *testing.T) {
	for text, want := range map[string]int{
		"": 0, "a": 1, "é": 2, "é\xc3": 2, "€"[:2]: 0, "a€": 4, "a\xe2\x82": 1, "\xff": 1, "𝄞"[:3]: 0, "x𝄞": 5, "\x82\x82\x82\x82": 4,
	} {
		if got := wholeRunes([]byte(text)); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
}
