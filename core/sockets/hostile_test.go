package sockets

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/sockets/curve"
	"github.com/ipcore/ipcore/core/sockets/zmtp"
)

// wantServed checks that a good peer gets an echo at once, before any deadline of the
// socket could have closed a bad peer that blocks it.
func wantServed(t *testing.T, endpoint string) {
	t.Helper()
	wantServedWith(t, nil, endpoint)
}

func wantServedWith(t *testing.T, curve *curve.Config, endpoint string) {
	t.Helper()
	r := newRecorder()
	o := r.options()
	o.Curve = curve
	d := New(Dealer, o)
	defer func() { _ = d.Close(0) }()
	dial(t, d, endpoint)
	begin := time.Now()
	_ = d.Send([]byte("hello"))
	await(t, r.messages, "reply to a good peer")
	if took := time.Since(begin); took > 5*time.Second {
		t.Fatalf("a good peer waited %s", took)
	}
}

// syncBuffer is a buffer that many goroutines may write, for a log.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func warnings(b *syncBuffer) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Output: b, Level: hclog.Warn})
}

func TestBadHandshakesAreClosedAndLoggedOnce(t *testing.T) {
	long := strings.Repeat("x", 300)
	head := string(greeting("NULL"))
	for name, bytes := range map[string]string{
		"zeros":                 strings.Repeat("\x00", 64),
		"http":                  "GET / HTTP/1.1\r\n\r\n",
		"plain":                 string(greeting("PLAIN")),
		"curve":                 string(greeting("CURVE")),
		"version 2":             "\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x01" + strings.Repeat("\x00", 53),
		"no metadata":           head + string(rawFrame(zmtp.FlagCommand, "\x05READY")),
		"unknown type":          head + string(ready("STREAM", "")),
		"wrong type":            head + string(ready(Sub, "")),
		"metadata out of range": head + string(rawFrame(zmtp.FlagCommand, "\x05READY\x0aSocket-Ty")),
		"value out of range":    head + string(rawFrame(zmtp.FlagCommand, "\x05READY\x0bSocket-Type\xff\xff\xff\xff")),
		"not a command":         head + string(rawFrame(0, "\x05READY")),
		"command and more":      head + string(rawFrame(zmtp.FlagCommand|zmtp.FlagMore, "\x05READY")),
		"reserved flags":        head + string(rawFrame(zmtp.FlagCommand|0x80, "\x05READY")),
		"empty command":         head + string(rawFrame(zmtp.FlagCommand, "")),
		"ERROR":                 head + string(rawFrame(zmtp.FlagCommand, "\x05ERROR\x03bad")),
		"4 EiB":                 head + string(claimedHeader(zmtp.FlagCommand, 1<<62)),
		"1 TiB":                 head + string(claimedHeader(zmtp.FlagCommand, 1<<40)),
		"8 KiB":                 head + string(claimedHeader(zmtp.FlagCommand, 8<<10)),
		"all ones":              head + string(claimedHeader(zmtp.FlagCommand, ^uint64(0))),
		"long identity":         head + string(ready(Dealer, long)),
	} {
		t.Run(name, func(t *testing.T) {
			var log syncBuffer
			router := open(t, Router, Options{Handler: echo, Log: warnings(&log)})
			endpoint := listen(t, router)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			first := rawDial(t, endpoint)
			first.write([]byte(bytes))
			first.wantClosed()
			for range 3 {
				p := rawDial(t, endpoint)
				_, _ = p.Write([]byte(bytes))
				p.wantClosed()
			}
			runtime.ReadMemStats(&after)
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 2<<20 {
				t.Errorf("%d bytes were allocated", grown)
			}
			wantServed(t, endpoint)
			_ = router.Close(0) // after this the log is complete
			if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), first.LocalAddr().String()) {
				t.Errorf("log has %d lines, wanted one with %s:\n%s", n, first.LocalAddr(), log.String())
			}
		})
	}
}

func TestSilentPeersDoNotHoldOthersUp(t *testing.T) {
	var log syncBuffer
	generous := open(t, Router, Options{Handler: echo})
	router := open(t, Router, Options{Handler: echo, Log: warnings(&log), Limits: Limits{HandshakeTimeout: 200 * time.Millisecond}})
	var silent []*rawPeer
	for _, endpoint := range []string{listen(t, generous), listen(t, router)} {
		for _, b := range [][]byte{nil, greeting("NULL")[:11], append(greeting("NULL"), zmtp.FlagCommand)} {
			p := rawDial(t, endpoint)
			p.write(b)
			silent = append(silent, p)
		}
		wantServed(t, endpoint)
	}
	for _, p := range silent[3:] {
		p.wantClosed()
	}
	_ = router.Close(0)
	if !strings.Contains(log.String(), "no complete handshake in time") {
		t.Errorf("log: %s", log.String())
	}
}

func TestOldestHandshakeIsClosed(t *testing.T) {
	router := open(t, Router, Options{Handler: echo, Limits: Limits{MaxHandshakes: 3}})
	endpoint := listen(t, router)
	var silent []*rawPeer
	for range 4 {
		silent = append(silent, rawDial(t, endpoint))
	}
	silent[0].wantClosed()
	wantServed(t, endpoint) // closes silent[1]
	silent[1].wantClosed()
	silent[3].handshake(Dealer, "") // the newest is still open
}

func TestGarbageCannotFloodTheLog(t *testing.T) {
	var r refusals
	lines, skipped, begin := 0, 0, time.Now()
	for i := range 100_000 {
		if n, ok := r.allow(fmt.Sprint(i)); ok {
			lines++
			skipped += n
		}
	}
	seconds := int(time.Since(begin).Seconds()) + 1
	if lines < refusalLines || lines > (seconds+1)*refusalLines {
		t.Errorf("%d lines within %d s", lines, seconds)
	}
	if skipped += r.skipped; lines+skipped != 100_000 {
		t.Errorf("%d lines and %d refusals without one, of 100,000", lines, skipped)
	}
	r = refusals{}
	if _, ok := r.allow("host"); !ok {
		t.Error("the first refusal is not logged")
	}
	if _, ok := r.allow("host"); ok {
		t.Error("a second refusal of the same address is logged at once")
	}
	if n, ok := r.allow("another"); !ok || n != 1 {
		t.Errorf("another address: %v, %d not logged before", ok, n)
	}
}

func TestBadFramesEndTheConnection(t *testing.T) {
	limits := Limits{MaxFrame: 1 << 20, MaxFrames: 1000, MaxMessage: 2 << 20}
	more := func(n int, body string) []byte { return bytes.Repeat(rawFrame(zmtp.FlagMore, body), n) }
	for name, b := range map[string][]byte{
		"reserved flags":  rawFrame(0x40, "x"),
		"command of 5 KB": rawFrame(zmtp.FlagCommand, strings.Repeat("x", 5<<10)),
		"command, more":   rawFrame(zmtp.FlagCommand|zmtp.FlagMore, "\x04PING\x00\x00"),
		"short PING":      rawFrame(zmtp.FlagCommand, "\x04PING\x00"),
		"long PING":       rawFrame(zmtp.FlagCommand, "\x04PING\x00\x00"+strings.Repeat("x", 17)),
		"4 EiB":           claimedHeader(0, 1<<62),
		"over MaxFrame":   claimedHeader(0, 1<<20+1),
		"over MaxFrames":  more(1001, ""),
		"over MaxMessage": more(70, strings.Repeat("x", 30<<10)),
		"inside message":  append(more(2, "x"), rawFrame(0x08, "")...),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRecorder()
			o := r.options()
			var log syncBuffer
			o.Handler, o.Limits, o.Log = echo, limits, warnings(&log)
			router := open(t, Router, o)
			endpoint := listen(t, router)
			p := rawDial(t, endpoint)
			p.handshake(Dealer, "bad")
			await(t, r.connected, "connection")
			_, _ = p.Write(b)
			p.wantClosed()
			await(t, r.disconnected, "call of Disconnected")
			wantServed(t, endpoint)
			_ = router.Close(0)
			if n := strings.Count(log.String(), p.LocalAddr().String()); n != 1 {
				t.Errorf("%d lines in the log:\n%s", n, log.String())
			}
		})
	}
}

func heapInUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestClaimsCostNothing(t *testing.T) {
	r := newRecorder()
	o := r.options()
	o.Handler = echo
	router := open(t, Router, o)
	endpoint := listen(t, router)
	before := heapInUse()
	for i := range 16 {
		p := rawDial(t, endpoint)
		p.handshake(Dealer, fmt.Sprint("claim", i))
		p.write(claimedHeader(0, 8<<30))
		p.write(make([]byte, 100))
		await(t, r.connected, "connection")
		defer runtime.KeepAlive(p)
	}
	wantServed(t, endpoint)
	if held := int64(heapInUse()) - int64(before); held > 24<<20 {
		t.Errorf("16 claims of 8 GiB hold %d MiB", held>>20)
	}
}

func TestEmptyFramesStayBounded(t *testing.T) {
	router := open(t, Router, Options{Handler: echo})
	endpoint := listen(t, router)
	before := heapInUse()
	p := rawDial(t, endpoint)
	p.handshake(Dealer, "")
	_, _ = p.Write(bytes.Repeat(rawFrame(zmtp.FlagMore, ""), 10<<20)) // 20 MiB
	p.wantClosed()
	wantServed(t, endpoint)
	if held := int64(heapInUse()) - int64(before); held > 16<<20 {
		t.Errorf("the frames hold %d MiB", held>>20)
	}
}

// brokenListener fails like the listener of a process that has no free descriptors.
type brokenListener struct {
	net.Listener
	calls chan struct{}
}

func (l *brokenListener) Accept() (net.Conn, error) {
	l.calls <- struct{}{}
	return nil, errors.New("too many open files")
}

func TestAcceptBacksOff(t *testing.T) {
	var log syncBuffer
	s := New(Router, Options{Log: warnings(&log)})
	real, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = real.Close() }()
	l := &brokenListener{real, make(chan struct{}, 10_000)}
	s.start(func() { s.accept(l) })
	begin := time.Now()
	for range 7 { // 5 + 10 + 20 + 40 + 80 + 160 ms between them
		await(t, l.calls, "accept")
	}
	if took := time.Since(begin); took < 300*time.Millisecond {
		t.Errorf("seven attempts within %s", took)
	}
	_ = s.Close(0)
	if n := strings.Count(log.String(), "cannot accept"); n != 1 {
		t.Errorf("%d lines in the log:\n%s", n, log.String())
	}
}

func TestPingIsAnsweredWithItsContext(t *testing.T) {
	r := newRecorder()
	router := open(t, Router, r.options())
	p := rawDial(t, listen(t, router))
	p.handshake(Dealer, "pinger")
	p.write(rawFrame(zmtp.FlagCommand, "\x04PING\x00\x64context"))
	if flags, body := p.frame(); flags != zmtp.FlagCommand || string(body) != "\x04PONGcontext" {
		t.Fatalf("flags %#x, body %q", flags, body)
	}
	// A PING in the middle of a message does not damage the message.
	p.write(rawFrame(zmtp.FlagMore, "one"))
	p.write(rawFrame(zmtp.FlagCommand, "\x04PING\x00\x64"))
	if _, body := p.frame(); string(body) != "\x04PONG" {
		t.Fatalf("body %q", body)
	}
	p.write(rawFrame(zmtp.FlagCommand, "\x07UNKNOWN"))
	p.write(rawFrame(0, "two"))
	wantFrames(t, await(t, r.messages, "message").frames, frames("one", "two"))
}

func TestPublisherHandlesPings(t *testing.T) {
	subscribed := make(chan *Conn, 10)
	pub := open(t, Pub, Options{Subscribed: func(c *Conn, _ []byte, _ bool) { subscribed <- c }})
	endpoint := listen(t, pub)
	pinger := rawDial(t, endpoint)
	pinger.handshake(Sub, "")
	pinger.write(bytes.Repeat(rawFrame(zmtp.FlagCommand, "\x04PING\x00\x00"), 12))
	pinger.write(rawFrame(zmtp.FlagCommand, "\x09SUBSCRIBEa"))
	await(t, subscribed, "subscription by command")
	other := rawDial(t, endpoint)
	other.handshake("XSUB", "")
	other.write(rawFrame(0, "\x01a"))
	await(t, subscribed, "subscription by message")
	other.write(rawFrame(0, "\x02what is this"))
	other.write(append(rawFrame(zmtp.FlagMore, "\x01"), rawFrame(0, "x")...))
	_ = pub.Send([]byte("abc"))
	if _, body := other.frame(); string(body) != "abc" {
		t.Fatalf("body %q", body)
	}
	for range 12 {
		if _, body := pinger.frame(); string(body) != "\x04PONG" {
			t.Fatalf("body %q", body)
		}
	}
	if _, body := pinger.frame(); string(body) != "abc" {
		t.Fatalf("body %q", body)
	}
	pinger.write(rawFrame(zmtp.FlagCommand, "\x06CANCELa"))
	await(t, subscribed, "cancellation by command")
	other.write(rawFrame(0, "\x00a"))
	await(t, subscribed, "cancellation by message")
}

func TestSubscriptionsAreBounded(t *testing.T) {
	pub := open(t, Pub, Options{})
	p := rawDial(t, listen(t, pub))
	p.handshake(Sub, "")
	var b []byte
	for i := range maxTopics + 1 {
		b = append(b, rawFrame(0, fmt.Sprint("\x01", i))...)
	}
	_, _ = p.Write(b)
	p.wantClosed()
}

func TestGeneratedIdentitiesCannotBeClaimed(t *testing.T) {
	r := newRecorder()
	router := open(t, Router, r.options())
	endpoint := listen(t, router)
	rawDial(t, endpoint).handshake(Dealer, "")
	first := await(t, r.connected, "connection")
	if id := first.Identity(); len(id) != 5 || id[0] != 0 {
		t.Fatalf("identity %q", id)
	}
	rawDial(t, endpoint).handshake(Dealer, string(first.Identity()))
	second := await(t, r.connected, "connection")
	if bytes.Equal(first.Identity(), second.Identity()) {
		t.Fatal("a peer claimed a generated identity")
	}
}

func TestIdentityMovesToTheNewestConnection(t *testing.T) {
	r := newRecorder()
	router := open(t, Router, r.options())
	endpoint := listen(t, router)
	first, second := rawDial(t, endpoint), rawDial(t, endpoint)
	first.handshake(Dealer, "engine")
	old := await(t, r.connected, "first connection")
	second.handshake(Dealer, "engine") // as if the first hung
	now := await(t, r.connected, "second connection")
	if err := router.SendTo([]byte("engine"), []byte("task")); err != nil {
		t.Fatal(err)
	}
	if _, body := second.frame(); string(body) != "task" {
		t.Fatalf("body %q", body)
	}
	first.wantClosed()
	if c := await(t, r.disconnected, "end of the first connection"); c != old {
		t.Fatal("the wrong connection ended")
	}
	if router.Lookup([]byte("engine")) != now {
		t.Fatal("the end of the old connection removed the new one")
	}
	if err := old.Send([]byte("x")); !errors.Is(err, ErrNoPeer) {
		t.Fatalf("send on the old connection: %v", err)
	}
}

func TestPeerThatNeverReads(t *testing.T) {
	var log syncBuffer
	r := newRecorder()
	o := r.options()
	o.Handler, o.Log = echo, warnings(&log)
	o.Limits = Limits{SendQueue: 8 << 20, StuckAfter: 200 * time.Millisecond}
	router := open(t, Router, o)
	endpoint := listen(t, router)
	stuck := rawDial(t, endpoint)
	stuck.handshake(Dealer, "stuck")
	c := await(t, r.connected, "connection")
	part := make([]byte, 40<<10)
	var err error
	for sent := 0; err == nil; sent += len(part) {
		if err = router.SendTo([]byte("stuck"), part); sent > 64<<20 {
			t.Fatal("the queue is not bounded")
		}
	}
	if !errors.Is(err, ErrFull) {
		t.Fatalf("over the mark: %v", err)
	}
	wantServed(t, endpoint)
	for await(t, r.disconnected, "end of the stuck peer") != c {
	}
	_ = router.Close(0)
	if n := strings.Count(log.String(), "does not read"); n != 1 {
		t.Errorf("%d lines in the log:\n%s", n, log.String())
	}
	if text := log.String(); strings.Count(text, "were not sent to it") != 1 || !strings.Contains(text, "messages=1 ") || strings.Contains(text, "queued=0 ") || !strings.Contains(text, errStuck.Error()) {
		t.Errorf("the log does not report the one message that was refused, and until when:\n%s", text)
	}
	if n := queuedTotal.Load(); n != 0 {
		t.Errorf("%d bytes are still counted as queued", n)
	}
}

func TestSubscriberThatNeverReads(t *testing.T) {
	var log syncBuffer
	subscribed := make(chan *Conn, 10)
	pub := open(t, Pub, Options{
		Subscribed: func(c *Conn, _ []byte, _ bool) { subscribed <- c },
		Limits:     Limits{SendQueue: 1 << 20},
		Log:        warnings(&log),
	})
	endpoint := listen(t, pub)
	stuck := rawDial(t, endpoint)
	stuck.handshake(Sub, "")
	stuck.write(rawFrame(0, "\x01"))
	await(t, subscribed, "subscription")
	r := newRecorder()
	sub := open(t, Sub, r.options())
	sub.Subscribe(nil)
	dial(t, sub, endpoint)
	await(t, subscribed, "subscription")
	part := make([]byte, 30<<10)
	sent := 0
	for pub.Dropped() < 7 {
		if sent++; sent > 5000 {
			t.Fatal("nothing was dropped")
		}
		_ = pub.Send(part)
		await(t, r.messages, "message of the healthy subscriber")
	}
	for range sent - 7 { // it reads again and gets what was queued
		if _, body := stuck.frame(); len(body) != len(part) {
			t.Fatalf("a message of %d bytes", len(body))
		}
	}
	deadline := time.Now().Add(timeout)
	for !strings.Contains(log.String(), `messages=7 `) {
		if time.Now().After(deadline) {
			t.Fatalf("the log does not report 7 messages:\n%s", log.String())
		}
		time.Sleep(time.Millisecond)
	}
	if n := strings.Count(log.String(), "\n"); n != 2 || !strings.Contains(log.String(), "caught up") {
		t.Errorf("%d lines in the log, want one for the beginning and one for the end:\n%s", n, log.String())
	}
}

func TestPingsOfAPeerThatNeverReadsAreBounded(t *testing.T) {
	router := open(t, Router, Options{Handler: echo})
	p := rawDial(t, listen(t, router))
	p.handshake(Dealer, "")
	pings := bytes.Repeat(rawFrame(zmtp.FlagCommand, "\x04PING\x00\x000123456789abcdef"), 1<<14)
	for range 40 { // 15 MiB of them
		p.write(pings)
	}
	if n := queuedTotal.Load(); n > 2<<20 {
		t.Errorf("%d bytes of replies are queued", n)
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	router := New(Router, Options{Handler: func(c *Conn, f [][]byte) {
		for range 100 {
			_ = c.Enqueue(make([]byte, 100<<10))
		}
	}})
	endpoint := listen(t, router)
	dealer := New(Dealer, Options{})
	dial(t, dealer, endpoint)
	for range 20 {
		p := rawDial(t, endpoint)
		p.handshake(Dealer, "")
		p.write(rawFrame(0, "fill my queue")) // which p never reads
		rawDial(t, endpoint)                  // sends nothing
	}
	unconnected := New(Dealer, Options{})
	dial(t, unconnected, "tcp://127.0.0.1:1") // nothing listens there
	for _, s := range []*Socket{router, dealer, unconnected} {
		begin := time.Now()
		if err := s.Close(50 * time.Millisecond); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("Close took %s", took)
		}
		if err := s.Close(0); err != nil {
			t.Fatal(err)
		}
		if err := s.Dial(endpoint); !errors.Is(err, ErrClosed) {
			t.Errorf("Dial after Close: %v", err)
		}
		if _, err := s.Listen("tcp://127.0.0.1:0"); !errors.Is(err, ErrClosed) {
			t.Errorf("Listen after Close: %v", err)
		}
	}
	for i := 0; runtime.NumGoroutine() > before; i++ {
		if i == 1000 {
			buf := make([]byte, 1<<20)
			t.Fatalf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), buf[:runtime.Stack(buf, true)])
		}
		time.Sleep(time.Millisecond)
	}
}

func TestCloseWritesWhatIsQueued(t *testing.T) {
	eachMechanism(t, func(t *testing.T, server, client *curve.Config) {
		r, d := newRecorder(), newRecorder()
		atServer, atClient := r.options(), d.options()
		atServer.Curve, atClient.Curve = server, client
		router := open(t, Router, atServer)
		endpoint := listen(t, router)
		dealer := New(Dealer, atClient)
		dial(t, dealer, endpoint)
		await(t, d.connected, "connection")
		big := bytes.Repeat([]byte("x"), 8<<20)
		for range 3 {
			if err := dealer.Send(big, []byte("end")); err != nil {
				t.Fatal(err)
			}
		}
		if err := dealer.Close(timeout); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			wantFrames(t, await(t, r.messages, "message").frames, [][]byte{big, []byte("end")})
		}
	})
}
