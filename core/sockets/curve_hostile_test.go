package sockets

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-zeromq/zmq4"

	"github.com/ipcore/ipcore/core/sockets/curve"
	"github.com/ipcore/ipcore/core/sockets/zmtp"
)

// rawCurvePeer is a peer that does a good CURVE handshake, and then sends sealed frames
// that are good or bad.
type rawCurvePeer struct {
	*rawPeer
	sealer *curve.Sealer
	opener *curve.Opener
}

// rawCommand returns a command frame.
func rawCommand(name string, body []byte) []byte {
	return rawFrame(zmtp.FlagCommand, string(rune(len(name)))+name+string(body))
}

// curveHandshake does a good handshake.
func (p *rawPeer) curveHandshake(client *curve.Config, kind Kind, identity string) *rawCurvePeer {
	p.t.Helper()
	m := curve.NewMechanism(client.Keys(), zmtp.Properties(string(kind), []byte(identity)))
	_ = p.SetDeadline(time.Now().Add(timeout))
	if _, err := zmq4.Open(p.TCPConn, m, zmq4.SocketType(kind), zmq4.SocketIdentity(identity), false, nil); err != nil {
		p.t.Fatal(err)
	}
	return &rawCurvePeer{p, m.Sealer(), m.Opener()}
}

// helloOf returns the body of a HELLO that client sends.
func helloOf(t *testing.T, client *curve.Config) []byte {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	dial(t, open(t, Dealer, Options{Curve: client}), "tcp://"+l.Addr().String())
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	p := &rawPeer{conn.(*net.TCPConn), t}
	p.write(greeting("CURVE"))
	p.readGreeting()
	_, body := p.frame()
	hello, ok := bytes.CutPrefix(body, []byte("\x05HELLO"))
	if !ok {
		t.Fatalf("the first command is %q", body)
	}
	return hello
}

// The layout of a sealed frame, and the size of the shortest INITIATE.
const (
	sealedName  = "\x07MESSAGE"
	counterAt   = 2 + len(sealedName) // in a frame with a short header
	minInitiate = 248
)

// sealed returns a sealed frame with these flags inside.
func (p *rawCurvePeer) sealed(flags byte, body string) []byte {
	out := make([]byte, len(body)+curve.Overhead)
	p.sealer.Seal(out, p.sealer.Next(), flags, []byte(body))
	return rawFrame(0, string(out))
}

// opened reads one frame and opens it.
func (p *rawCurvePeer) opened() (flags byte, body []byte) {
	p.t.Helper()
	outer, b := p.frame()
	if outer&^zmtp.FlagLong != 0 {
		p.t.Fatalf("outer flags %#x", outer)
	}
	flags, err := p.opener.Open(b)
	if err != nil {
		p.t.Fatal(err)
	}
	return flags, b[curve.Overhead:]
}

func TestBadCurveHandshakesAreClosedAndLoggedOnce(t *testing.T) {
	server, client := curveConfigs()
	stranger := curve.NewKey().Public()
	hello := helloOf(t, client)
	wrongHello := helloOf(t, &curve.Config{ServerKey: stranger})
	head := string(greeting("CURVE"))
	good := string(rawCommand("HELLO", hello))
	for name, bytes := range map[string]string{
		"NULL":              string(greeting("NULL")) + string(ready(Dealer, "")),
		"PLAIN":             string(greeting("PLAIN")),
		"zeros":             strings.Repeat("\x00", 64),
		"READY at once":     head + string(ready(Dealer, "")),
		"garbage HELLO":     head + string(rawCommand("HELLO", make([]byte, len(hello)))),
		"short HELLO":       head + string(rawCommand("HELLO", hello[:len(hello)-1])),
		"empty HELLO":       head + string(rawCommand("HELLO", nil)),
		"other server":      head + string(rawCommand("HELLO", wrongHello)),
		"two HELLOs":        head + good + good,
		"READY":             head + good + string(ready(Dealer, "")),
		"garbage INITIATE":  head + good + string(rawCommand("INITIATE", make([]byte, minInitiate+40))),
		"short INITIATE":    head + good + string(rawCommand("INITIATE", make([]byte, 20))),
		"MESSAGE":           head + good + string(rawFrame(0, sealedName+strings.Repeat("x", 40))),
		"4 EiB":             head + string(claimedHeader(zmtp.FlagCommand, 1<<62)),
		"4 EiB after HELLO": head + good + string(claimedHeader(zmtp.FlagCommand, 1<<62)),
		"8 KiB":             head + good + string(claimedHeader(zmtp.FlagCommand, 8<<10)),
		"ERROR":             head + good + string(rawFrame(zmtp.FlagCommand, "\x05ERROR\x03bad")),
		"empty command":     head + string(rawFrame(zmtp.FlagCommand, "")),
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
			wantServedWith(t, client, endpoint)
			_ = router.Close(0)
			if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, first.LocalAddr().String()) {
				t.Errorf("log:\n%s", text)
			}
		})
	}
}

// TestWrongMechanismIsNamed checks the log of both sides.
func TestWrongMechanismIsNamed(t *testing.T) {
	server, client := curveConfigs()
	other, _ := curveConfigs()
	for name, test := range map[string]struct {
		client     *curve.Config
		here, dial string
	}{
		"NULL client":   {nil, "the peer speaks NULL, this socket CURVE", "the peer speaks CURVE, this socket NULL"},
		"another's key": {&curve.Config{ServerKey: other.SecretKey.Public()}, "does not know this server's key", "check that its server key"},
		"the right key": {client, "", ""},
	} {
		var listening, dialing syncBuffer
		router := New(Router, Options{Curve: server, Log: warnings(&listening), Handler: echo})
		r := newRecorder()
		o := r.options()
		o.Curve, o.Log = test.client, warnings(&dialing)
		dealer := New(Dealer, o)
		dial(t, dealer, listen(t, router))
		if test.here == "" {
			await(t, r.connected, "connection")
		}
		for limit := time.Now().Add(timeout); !strings.Contains(listening.String(), test.here) || !strings.Contains(dialing.String(), test.dial); time.Sleep(time.Millisecond) {
			if time.Now().After(limit) {
				t.Fatalf("%s: listening:\n%s\ndialing:\n%s", name, listening.String(), dialing.String())
			}
		}
		_ = dealer.Close(0)
		_ = router.Close(0)
	}
}

func TestBadSealedFramesEndTheConnection(t *testing.T) {
	server, client := curveConfigs()
	limits := Limits{MaxFrame: 1 << 20, MaxFrames: 1000, MaxMessage: 2 << 20}
	for name, bad := range map[string]func(p *rawCurvePeer) []byte{
		"not sealed":   func(*rawCurvePeer) []byte { return rawFrame(0, "x") },
		"plain PING":   func(*rawCurvePeer) []byte { return rawFrame(zmtp.FlagCommand, "\x04PING\x00\x00") },
		"garbage":      func(*rawCurvePeer) []byte { return rawFrame(0, sealedName+strings.Repeat("\x7f", 100)) },
		"truncated":    func(p *rawCurvePeer) []byte { return rawFrame(0, string(p.sealed(0, "hello")[2:curve.Overhead+1])) },
		"cut off":      func(p *rawCurvePeer) []byte { return rawFrame(0, string(p.sealed(0, "hello")[2:curve.Overhead+4])) },
		"without text": func(p *rawCurvePeer) []byte { return rawFrame(0, string(p.sealed(0, "")[2:curve.Overhead+1])) },
		"changed":      func(p *rawCurvePeer) []byte { b := p.sealed(0, "hello"); b[len(b)-1] ^= 1; return b },
		"changed, large": func(p *rawCurvePeer) []byte {
			b := p.sealed(0, strings.Repeat("x", 200_000))
			b[len(b)-1] ^= 1
			return b
		},
		"replayed": func(p *rawCurvePeer) []byte {
			b := p.sealed(zmtp.FlagMore, "hello")
			return append(bytes.Clone(b), b...)
		},
		"reordered": func(p *rawCurvePeer) []byte {
			b := p.sealed(zmtp.FlagMore, "one")
			return append(p.sealed(zmtp.FlagMore, "two"), b...)
		},
		"counter 0": func(p *rawCurvePeer) []byte { b := p.sealed(0, "x"); clear(b[counterAt : counterAt+8]); return b },
		"counter's end": func(p *rawCurvePeer) []byte {
			b := p.sealed(0, "x")
			binary.BigEndian.PutUint64(b[counterAt:], 1<<63)
			return b
		},
		"outer MORE":      func(p *rawCurvePeer) []byte { b := p.sealed(zmtp.FlagMore, "x"); b[0] = zmtp.FlagMore; return b },
		"outer COMMAND":   func(p *rawCurvePeer) []byte { b := p.sealed(0, "x"); b[0] = zmtp.FlagCommand; return b },
		"command, more":   func(p *rawCurvePeer) []byte { return p.sealed(zmtp.FlagCommand|zmtp.FlagMore, "\x04PING\x00\x00") },
		"command of 5 KB": func(p *rawCurvePeer) []byte { return p.sealed(zmtp.FlagCommand, strings.Repeat("x", 5<<10)) },
		"short PING":      func(p *rawCurvePeer) []byte { return p.sealed(zmtp.FlagCommand, "\x04PING\x00") },
		"4 EiB":           func(*rawCurvePeer) []byte { return claimedHeader(0, 1<<62) },
		"all ones":        func(*rawCurvePeer) []byte { return claimedHeader(0, ^uint64(0)) },
		"over MaxFrame":   func(*rawCurvePeer) []byte { return claimedHeader(0, uint64(1<<20+curve.Overhead+1)) },
		"over MaxFrames": func(p *rawCurvePeer) (b []byte) {
			for range 1001 {
				b = append(b, p.sealed(zmtp.FlagMore, "")...)
			}
			return b
		},
		"over MaxMessage": func(p *rawCurvePeer) (b []byte) {
			for range 70 {
				b = append(b, p.sealed(zmtp.FlagMore, strings.Repeat("x", 30<<10))...)
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
					t.Errorf("the Handler got %q", f)
				}
				echo(c, f)
			}
			router := open(t, Router, o)
			endpoint := listen(t, router)
			raw := rawDial(t, endpoint)
			p := raw.curveHandshake(client, Dealer, "bad")
			await(t, r.connected, "connection")
			_, _ = p.Write(bad(p))
			p.wantClosed()
			await(t, r.disconnected, "call of Disconnected")
			wantServedWith(t, client, endpoint)
			_ = router.Close(0)
			if n := strings.Count(log.String(), p.LocalAddr().String()); n != 1 {
				t.Errorf("%d lines in the log:\n%s", n, log.String())
			}
		})
	}
}

func TestSealedClaimsCostNothing(t *testing.T) {
	server, client := curveConfigs()
	r := newRecorder()
	o := r.options()
	o.Handler, o.Curve = echo, server
	endpoint := listen(t, open(t, Router, o))
	before := heapInUse()
	for i := range 16 {
		p := rawDial(t, endpoint).curveHandshake(client, Dealer, fmt.Sprint("claim", i))
		p.write(claimedHeader(0, 8<<30))
		p.write(make([]byte, 100))
		await(t, r.connected, "connection")
		defer runtime.KeepAlive(p)
	}
	wantServedWith(t, client, endpoint)
	if held := int64(heapInUse()) - int64(before); held > 24<<20 {
		t.Errorf("16 claims of 8 GiB hold %d MiB", held>>20)
	}
}

func TestSealedPingsAndSubscriptions(t *testing.T) {
	server, client := curveConfigs()
	changes := make(chan string, 10)
	pub := open(t, Pub, Options{Curve: server, Subscribed: func(_ *Conn, topic []byte, on bool) { changes <- fmt.Sprint(string(topic), on) }})
	p := rawDial(t, listen(t, pub)).curveHandshake(client, Sub, "")
	p.write(p.sealed(zmtp.FlagCommand, "\x04PING\x00\x64context"))
	if flags, body := p.opened(); flags != zmtp.FlagCommand || string(body) != "\x04PONGcontext" {
		t.Fatalf("flags %#x, body %q", flags, body)
	}
	p.write(p.sealed(zmtp.FlagCommand, "\x09SUBSCRIBEa"))
	await(t, changes, "subscription by command")
	p.write(p.sealed(0, "\x01b"))
	await(t, changes, "subscription by message")
	big := bytes.Repeat([]byte("y"), 3*LargeFrame)
	_ = pub.Send([]byte("abc"), big, []byte("end"))
	for i, want := range []struct {
		flags byte
		body  []byte
	}{{zmtp.FlagMore, []byte("abc")}, {zmtp.FlagMore, big}, {0, []byte("end")}} {
		if flags, body := p.opened(); flags != want.flags || !bytes.Equal(body, want.body) {
			t.Fatalf("frame %d: flags %#x, %d bytes", i, flags, len(body))
		}
	}
	p.write(p.sealed(zmtp.FlagCommand, "\x06CANCELa"))
	if got := await(t, changes, "cancellation"); got != "afalse" {
		t.Fatal(got)
	}
}

// TestLargeFramesMayBeKept keeps a large frame and forwards it, as a database and a relay
// do.
func TestLargeFramesMayBeKept(t *testing.T) {
	server, client := curveConfigs()
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
	for _, n := range []int{LargeFrame, 1<<20 - curve.Overhead, 1 << 20, 5_000_000} {
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
