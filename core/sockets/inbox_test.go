package sockets

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/ipcore/ipcore/core/sockets/zmtp"
)

// pieceReader returns b in pieces of the given sizes, which it repeats.
type pieceReader struct {
	b     []byte
	sizes []byte
	next  int
}

func (p *pieceReader) Read(to []byte) (int, error) {
	if len(p.b) == 0 {
		return 0, io.EOF
	}
	size := 1
	if len(p.sizes) > 0 {
		size += int(p.sizes[p.next%len(p.sizes)]) * 37
		p.next++
	}
	n := copy(to, p.b[:min(size, len(p.b))])
	p.b = p.b[n:]
	return n, nil
}

// tryRead implements nonblockingReader; sometimes it returns nothing.
func (p *pieceReader) tryRead(to []byte) (int, error) {
	if p.next++; p.next%3 == 0 {
		return 0, nil
	}
	return p.Read(to)
}

var fuzzLimits = Limits{MaxFrame: 3 << 20, MaxMessage: 4 << 20, MaxFrames: 200}

// parseWhole parses b as a whole, where an inbox parses pieces. It returns the complete
// messages, and whether something follows that must be refused.
func parseWhole(b []byte) (messages [][][]byte, bad bool) {
	var m [][]byte
	total := int64(0)
	for {
		flags, size, head := zmtp.ParseHeader(b)
		if head == 0 {
			return messages, false
		}
		command := flags&zmtp.FlagCommand != 0
		switch {
		case flags&^zmtp.FlagsKnown != 0,
			command && (flags&zmtp.FlagMore != 0 || size > zmtp.MaxCommand),
			size > uint64(fuzzLimits.MaxFrame),
			total+int64(size) > fuzzLimits.MaxMessage,
			!command && len(m) == fuzzLimits.MaxFrames:
			return messages, true
		}
		if size > uint64(len(b)-head) {
			return messages, false
		}
		body := b[head : head+int(size)]
		b = b[head+int(size):]
		if command {
			rest, isPing := bytes.CutPrefix(body, []byte("\x04PING"))
			if isPing && (len(rest) < 2 || len(rest) > 2+16) {
				return messages, true
			}
			continue
		}
		m, total = append(m, body), total+int64(size)
		if flags&zmtp.FlagMore == 0 {
			messages, m, total = append(messages, m), nil, 0
		}
	}
}

// checkParse reads b through an inbox and compares the messages with parseWhole.
func checkParse(t *testing.T, b, sizes []byte) { checkParseOf(t, b, sizes, false) }

func checkParseOf(t *testing.T, b, sizes []byte, trusted bool) {
	t.Helper()
	var got [][][]byte
	s := New(Router, Options{Limits: fuzzLimits, Handler: func(_ *Conn, f [][]byte) {
		for i := range f {
			if len(f[i]) >= LargeFrame && &f[i][0] == &Retain(f)[i][0] {
				continue // must still be valid later
			}
			f[i] = bytes.Clone(f[i])
		}
		got = append(got, append([][]byte(nil), f...))
	}})
	c := &Conn{s: s}
	c.err = ErrClosed // nothing can be sent
	c.in.c, c.in.r, c.in.trusted = c, &pieceReader{b: b, sizes: sizes}, trusted
	err := c.in.readLoop()
	want, bad := parseWhole(b)
	var broken zmtp.ProtocolError
	if isBad := errors.As(err, &broken); isBad != bad {
		t.Fatalf("ended with %v, want a ProtocolError: %t", err, bad)
	}
	if len(got) != len(want) {
		t.Fatalf("got %d messages, want %d", len(got), len(want))
	}
	for i := range want {
		wantFrames(t, got[i], want[i])
	}
}

func TestMessagesReadInPieces(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	interesting := []int{0, 1, 254, 255, 256, separateFrom - 10, separateFrom - 1, separateFrom, separateFrom + 1, smallBuffer - 9, smallBuffer,
		largeBuffer - 9, largeBuffer - 2, largeBuffer, largeBuffer + 1, LargeFrame - 1, LargeFrame, firstAllocation - 1, firstAllocation, firstAllocation + 1, 2 << 20}
	for range 40 {
		var b []byte
		for range rng.IntN(30) {
			n := rng.IntN(300)
			if rng.IntN(4) == 0 {
				n = interesting[rng.IntN(len(interesting))]
			}
			body := make([]byte, n)
			for i := range body {
				body[i] = byte(rng.Uint32())
			}
			if rng.IntN(5) == 0 {
				b = append(b, rawFrame(zmtp.FlagCommand, "\x04PING\x00\x00context")...)
			}
			flags := byte(0)
			if rng.IntN(3) > 0 {
				flags = zmtp.FlagMore
			}
			b = append(b, rawFrame(flags, string(body))...)
		}
		sizes := make([]byte, 2+rng.IntN(20))
		for i := range sizes {
			sizes[i] = byte(rng.Uint32())
		}
		sizes[0] = 255 // otherwise megabytes might be read byte by byte
		checkParse(t, b, sizes)
		checkParseOf(t, b, sizes, true)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(rawFrame(0, "hello"), []byte{1})
	f.Add(append(rawFrame(zmtp.FlagMore, "one"), rawFrame(0, "two")...), []byte{0})
	f.Add(append(rawFrame(zmtp.FlagMore, "one"), rawFrame(zmtp.FlagCommand, "\x04PING\x00\x00")...), []byte{0, 255})
	f.Add(claimedHeader(0, 1<<62), []byte{3})
	f.Add(append(claimedHeader(zmtp.FlagMore, 20<<10), make([]byte, 30<<10)...), []byte{9, 200})
	f.Add(bytes.Repeat(rawFrame(zmtp.FlagMore, ""), 300), []byte{7})
	f.Fuzz(checkParse)
}

// A thousand peers connect quickly, and cost little memory while they are idle.
func TestManyConnections(t *testing.T) {
	const n = 1000
	r := newRecorder()
	router := open(t, Router, r.options())
	endpoint := listen(t, router)
	idle := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	before := idle()
	begin := time.Now()
	peers := make([]*rawPeer, n)
	for i := range peers {
		peers[i] = rawDial(t, endpoint)
		peers[i].write(append(greeting("NULL"), ready(Dealer, fmt.Sprint("engine-", i))...))
	}
	for range n {
		await(t, r.connected, "connection")
	}
	took := time.Since(begin)
	each := (int64(idle()) - int64(before)) / n
	t.Logf("%d connections within %s, %d bytes each", n, took, each)
	if each > 64<<10 {
		t.Errorf("an idle connection costs %d bytes", each)
	}
	if took > timeout {
		t.Errorf("%d handshakes took %s", n, took)
	}
	if err := router.SendTo([]byte("engine-999"), []byte("task")); err != nil {
		t.Fatal(err)
	}
	runtime.KeepAlive(peers)
}

// floodReader is a reader that always has more to read.
type floodReader struct{ b []byte }

func (f *floodReader) Read(to []byte) (int, error) {
	if len(f.b) == 0 {
		return 0, io.EOF
	}
	n := copy(to, f.b)
	f.b = f.b[n:]
	return n, nil
}

func (f *floodReader) tryRead(to []byte) (int, error) { return f.Read(to) }

// Messages that have arrived already are handled before the flush, so that replies to one
// peer are written together. But a flood of messages does not delay the flush forever.
func TestReadAhead(t *testing.T) {
	one := append([]byte{0, 100}, make([]byte, 100)...)
	handled, flushed := 0, []int{}
	s := New(Router, Options{
		Handler:   func(*Conn, [][]byte) { handled++ },
		AfterRead: func() { flushed = append(flushed, handled) },
	})
	c := &Conn{s: s}
	c.in.c, c.in.r = c, &floodReader{bytes.Repeat(one, 20*readAhead)}
	if err := c.in.readLoop(); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	c.in.flush()
	before, perRead := 0, largeBuffer/len(one)
	for i, n := range flushed {
		if batch := n - before; batch > readAhead+perRead || batch < readAhead && i < len(flushed)-1 {
			t.Errorf("flush %d: after %d messages", i, batch)
		}
		before = n
	}
	if before != 20*readAhead {
		t.Errorf("%d messages were flushed", before)
	}
}
