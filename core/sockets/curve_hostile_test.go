package sockets

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"
)

// curvePeerRaw is a peer that shakes hands over CURVE, and then sends sealed
// frames well or badly.
type curvePeerRaw struct {
	*rawPeer
	seal *sealer
	open *opener
}

// rawCommand answers a command frame.
func rawCommand(name string, body []byte) []byte {
	return rawFrame(flagCommand, string(rune(len(name)))+name+string(body))
}

// shakeCurve does a good handshake.
func (p *rawPeer) shakeCurve(client *Curve, kind Kind, identity string) *curvePeerRaw {
	p.t.Helper()
	c := &curveClient{curvePeer{keys: client.keys()}}
	hello, err := c.hello()
	if err != nil {
		p.t.Fatal(err)
	}
	p.write(append(greeting("CURVE"), rawCommand("HELLO", hello)...))
	_ = p.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.CopyN(io.Discard, p, 64); err != nil {
		p.t.Fatalf("greeting: %v", err)
	}
	_, body := p.frame()
	initiate, err := c.welcome(bytes.TrimPrefix(body, []byte("\x07WELCOME")), []byte(property("Socket-Type", string(kind))+property("Identity", identity)))
	if err != nil {
		p.t.Fatal(err)
	}
	p.write(rawCommand("INITIATE", initiate))
	_, body = p.frame()
	if _, err := c.ready(bytes.TrimPrefix(body, []byte("\x05READY"))); err != nil {
		p.t.Fatal(err)
	}
	seal, open := c.traffic()
	return &curvePeerRaw{p, seal, open}
}

// sealed answers a sealed frame with these flags inside.
func (p *curvePeerRaw) sealed(inside byte, body string) []byte {
	out := make([]byte, len(body)+curveOverhead)
	p.seal.seal(out, p.seal.next(), inside, []byte(body))
	return rawFrame(0, string(out))
}

// opened reads one frame and opens it.
func (p *curvePeerRaw) opened() (flags byte, body []byte) {
	p.t.Helper()
	outer, b := p.frame()
	if outer&^flagLong != 0 {
		p.t.Fatalf("outer flags %#x", outer)
	}
	flags, err := p.open.open(b)
	if err != nil {
		p.t.Fatal(err)
	}
	return flags, b[curveOverhead:]
}

func TestBadCurveHandshakesAreClosedAndLoggedOnce(t *testing.T) {
	server, client := curves()
	stranger, _ := handshakeOf()
	c := &curveClient{curvePeer{keys: client.keys()}}
	hello, err := c.hello()
	if err != nil {
		t.Fatal(err)
	}
	wrong := &curveClient{curvePeer{keys: (&Curve{ServerKey: stranger.keys.own.public}).keys()}}
	wrongHello, err := wrong.hello()
	if err != nil {
		t.Fatal(err)
	}
	head := string(greeting("CURVE"))
	good := string(rawCommand("HELLO", hello))
	for name, bytes := range map[string]string{
		"NULL":              string(greeting("NULL")) + string(ready(Dealer, "")),
		"PLAIN":             string(greeting("PLAIN")),
		"zeros":             strings.Repeat("\x00", 64),
		"READY at once":     head + string(ready(Dealer, "")),
		"garbage HELLO":     head + string(rawCommand("HELLO", make([]byte, helloSize))),
		"short HELLO":       head + string(rawCommand("HELLO", hello[:helloSize-1])),
		"empty HELLO":       head + string(rawCommand("HELLO", nil)),
		"other server":      head + string(rawCommand("HELLO", wrongHello)),
		"two HELLOs":        head + good + good,
		"READY":             head + good + string(ready(Dealer, "")),
		"garbage INITIATE":  head + good + string(rawCommand("INITIATE", make([]byte, initiateLeast+40))),
		"short INITIATE":    head + good + string(rawCommand("INITIATE", make([]byte, 20))),
		"MESSAGE":           head + good + string(rawFrame(0, curveMessage+strings.Repeat("x", 40))),
		"4 EiB":             head + string(claim(flagCommand, 1<<62)),
		"4 EiB after HELLO": head + good + string(claim(flagCommand, 1<<62)),
		"8 KiB":             head + good + string(claim(flagCommand, 8<<10)),
		"ERROR":             head + good + string(rawFrame(flagCommand, "\x05ERROR\x03bad")),
		"empty command":     head + string(rawFrame(flagCommand, "")),
	} {
		t.Run(name, func(t *testing.T) {
			var log syncBuffer
			router := open(t, Router, Options{Handler: echo, Curve: server, Log: warnings(&log)})
			endpoint := listen(t, router)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			first := rawDial(t, endpoint)
			first.write([]byte(bytes))
			first.wantClosed()
			p := rawDial(t, endpoint)
			_, _ = p.Write([]byte(bytes))
			p.wantClosed()
			runtime.ReadMemStats(&after)
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 2<<20 {
				t.Errorf("%d bytes were allocated", grown)
			}
			wantServedOver(t, client, endpoint)
			_ = router.Close(0)
			if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, first.LocalAddr().String()) {
				t.Errorf("log:\n%s", text)
			}
		})
	}
}

// TestWrongMechanismIsNamed looks at what the log says on both sides.
func TestWrongMechanismIsNamed(t *testing.T) {
	server, client := curves()
	other, _ := curves()
	for name, test := range map[string]struct {
		client     *Curve
		here, dial string
	}{
		"NULL client":     {nil, "the peer speaks NULL, this socket CURVE", "the peer speaks CURVE, this socket NULL"},
		"another's key":   {&Curve{ServerKey: other.SecretKey.Public()}, "does not know this server's key", "is its server key still the one"},
		"the very server": {client, "", ""},
	} {
		var here, dialling syncBuffer
		router := New(Router, Options{Curve: server, Log: warnings(&here), Handler: echo})
		r := newRecorder()
		o := r.options()
		o.Curve, o.Log = test.client, warnings(&dialling)
		dealer := New(Dealer, o)
		dial(t, dealer, listen(t, router))
		if test.here == "" {
			await(t, r.connected, "connection")
		}
		for limit := time.Now().Add(patience); !strings.Contains(here.String(), test.here) || !strings.Contains(dialling.String(), test.dial); time.Sleep(time.Millisecond) {
			if time.Now().After(limit) {
				t.Fatalf("%s: listening:\n%s\ndialling:\n%s", name, here.String(), dialling.String())
			}
		}
		_ = dealer.Close(0)
		_ = router.Close(0)
	}
}

func TestBadSealedFramesEndTheConnection(t *testing.T) {
	server, client := curves()
	limits := Limits{MaxFrame: 1 << 20, MaxFrames: 1000, MaxMessage: 2 << 20}
	for name, bad := range map[string]func(p *curvePeerRaw) []byte{
		"not sealed":   func(*curvePeerRaw) []byte { return rawFrame(0, "x") },
		"plain PING":   func(*curvePeerRaw) []byte { return rawFrame(flagCommand, "\x04PING\x00\x00") },
		"garbage":      func(*curvePeerRaw) []byte { return rawFrame(0, curveMessage+strings.Repeat("\x7f", 100)) },
		"truncated":    func(p *curvePeerRaw) []byte { return rawFrame(0, string(p.sealed(0, "hello")[2:curveOverhead+1])) },
		"cut off":      func(p *curvePeerRaw) []byte { return rawFrame(0, string(p.sealed(0, "hello")[2:curveOverhead+4])) },
		"without text": func(p *curvePeerRaw) []byte { return rawFrame(0, string(p.sealed(0, "")[2:curveOverhead+1])) },
		"changed":      func(p *curvePeerRaw) []byte { b := p.sealed(0, "hello"); b[len(b)-1] ^= 1; return b },
		"changed, large": func(p *curvePeerRaw) []byte {
			b := p.sealed(0, strings.Repeat("x", 200_000))
			b[len(b)-1] ^= 1
			return b
		},
		"replayed": func(p *curvePeerRaw) []byte { b := p.sealed(sealedMore, "hello"); return append(bytes.Clone(b), b...) },
		"reordered": func(p *curvePeerRaw) []byte {
			b := p.sealed(sealedMore, "one")
			return append(p.sealed(sealedMore, "two"), b...)
		},
		"counter 0": func(p *curvePeerRaw) []byte { b := p.sealed(0, "x"); clear(b[2+8 : 2+16]); return b },
		"counter's end": func(p *curvePeerRaw) []byte {
			b := p.sealed(0, "x")
			binary.BigEndian.PutUint64(b[2+8:], 1<<63)
			return b
		},
		"outer MORE":      func(p *curvePeerRaw) []byte { b := p.sealed(sealedMore, "x"); b[0] = flagMore; return b },
		"outer COMMAND":   func(p *curvePeerRaw) []byte { b := p.sealed(0, "x"); b[0] = flagCommand; return b },
		"flags inside":    func(p *curvePeerRaw) []byte { return p.sealed(4, "x") },
		"command, more":   func(p *curvePeerRaw) []byte { return p.sealed(sealedCommand|sealedMore, "\x04PING\x00\x00") },
		"command of 5 KB": func(p *curvePeerRaw) []byte { return p.sealed(sealedCommand, strings.Repeat("x", 5<<10)) },
		"short PING":      func(p *curvePeerRaw) []byte { return p.sealed(sealedCommand, "\x04PING\x00") },
		"4 EiB":           func(*curvePeerRaw) []byte { return claim(0, 1<<62) },
		"all ones":        func(*curvePeerRaw) []byte { return claim(0, ^uint64(0)) },
		"over MaxFrame":   func(*curvePeerRaw) []byte { return claim(0, uint64(1<<20+curveOverhead+1)) },
		"over MaxFrames": func(p *curvePeerRaw) (b []byte) {
			for range 1001 {
				b = append(b, p.sealed(sealedMore, "")...)
			}
			return b
		},
		"over MaxMessage": func(p *curvePeerRaw) (b []byte) {
			for range 70 {
				b = append(b, p.sealed(sealedMore, strings.Repeat("x", 30<<10))...)
			}
			return b
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRecorder()
			o := r.options()
			var log syncBuffer
			o.Limits, o.Log, o.Curve = limits, warnings(&log), server
			o.Handler = func(c *Conn, f [][]byte) {
				if string(c.Identity()) == "bad" {
					t.Errorf("a handler got %q", f)
				}
				echo(c, f)
			}
			router := open(t, Router, o)
			endpoint := listen(t, router)
			raw := rawDial(t, endpoint)
			p := raw.shakeCurve(client, Dealer, "bad")
			await(t, r.connected, "connection")
			_, _ = p.Write(bad(p))
			p.wantClosed()
			await(t, r.disconnected, "report of the end")
			wantServedOver(t, client, endpoint)
			_ = router.Close(0)
			if n := strings.Count(log.String(), p.LocalAddr().String()); n != 1 {
				t.Errorf("%d lines in the log:\n%s", n, log.String())
			}
		})
	}
}

func TestSealedClaimsCostNothing(t *testing.T) {
	server, client := curves()
	r := newRecorder()
	o := r.options()
	o.Handler, o.Curve = echo, server
	endpoint := listen(t, open(t, Router, o))
	before := heap()
	for i := range 16 {
		p := rawDial(t, endpoint).shakeCurve(client, Dealer, fmt.Sprint("claim", i))
		p.write(claim(0, 8<<30))
		p.write(make([]byte, 100))
		await(t, r.connected, "connection")
		defer runtime.KeepAlive(p)
	}
	wantServedOver(t, client, endpoint)
	if held := int64(heap()) - int64(before); held > 24<<20 {
		t.Errorf("16 claims of 8 GiB hold %d MiB", held>>20)
	}
}

func TestSealedPingsAndSubscriptions(t *testing.T) {
	server, client := curves()
	changes := make(chan string, 10)
	pub := open(t, Pub, Options{Curve: server, Subscribed: func(_ *Conn, topic []byte, on bool) { changes <- fmt.Sprint(string(topic), on) }})
	p := rawDial(t, listen(t, pub)).shakeCurve(client, Sub, "")
	p.write(p.sealed(sealedCommand, "\x04PING\x00\x64context"))
	if flags, body := p.opened(); flags != flagCommand || string(body) != "\x04PONGcontext" {
		t.Fatalf("flags %#x, body %q", flags, body)
	}
	p.write(p.sealed(sealedCommand, "\x09SUBSCRIBEa"))
	await(t, changes, "subscription by command")
	p.write(p.sealed(0, "\x01b"))
	await(t, changes, "subscription by message")
	big := bytes.Repeat([]byte("y"), 3*LargeFrame)
	_ = pub.Send([]byte("abc"), big, []byte("end"))
	for i, want := range []struct {
		flags byte
		body  []byte
	}{{flagMore, []byte("abc")}, {flagMore, big}, {0, []byte("end")}} {
		if flags, body := p.opened(); flags != want.flags || !bytes.Equal(body, want.body) {
			t.Fatalf("frame %d: flags %#x, %d bytes", i, flags, len(body))
		}
	}
	p.write(p.sealed(sealedCommand, "\x06CANCELa"))
	if got := await(t, changes, "cancellation"); got != "afalse" {
		t.Fatal(got)
	}
}

// TestLargeFramesMayBeKept keeps a large frame and forwards it, as a database
// and a relay do.
func TestLargeFramesMayBeKept(t *testing.T) {
	server, client := curves()
	kept := make(chan []byte, 2)
	router := open(t, Router, Options{Curve: server, Handler: func(c *Conn, f [][]byte) {
		kept <- f[0]
		_ = c.Enqueue(f...)
		_ = c.Enqueue(f...)
	}})
	r := newRecorder()
	o := r.options()
	o.Curve = client
	dealer := open(t, Dealer, o)
	dial(t, dealer, listen(t, router))
	for _, n := range []int{LargeFrame, 1<<20 - curveOverhead, 1 << 20, 5_000_000} {
		want := bytes.Repeat([]byte{byte(n)}, n)
		if err := dealer.Send(want); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			wantFrames(t, await(t, r.messages, "echo").frames, [][]byte{want})
		}
		if got := await(t, kept, "message"); !bytes.Equal(got, want) {
			t.Errorf("the kept frame of %d bytes was changed by sending it", n)
		}
	}
}
