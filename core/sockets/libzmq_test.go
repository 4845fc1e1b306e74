package sockets

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/ipcore/ipcore/core/sockets/curve"
)

// python is an interpreter that has pyzmq, for the libzmq peers.
const python = "/usr/bin/python3"

// libzmqPeer is a running peer of testdata/peer.py.
type libzmqPeer struct {
	t      *testing.T
	stdin  io.Writer
	lines  chan string
	stderr bytes.Buffer
}

// startLibzmq starts a peer whose sockets have the keys of curve, unless it is nil.
func startLibzmq(t *testing.T, curve *curve.Config, mode string, endpoints ...string) *libzmqPeer {
	t.Helper()
	if exec.Command(python, "-c", "import zmq").Run() != nil {
		t.Skip("needs pyzmq of " + python + " (package python3-ipyparallel): `make deps` installs it")
	}
	p := &libzmqPeer{t: t, lines: make(chan string, 10)}
	cmd := exec.Command(python, append([]string{"testdata/peer.py", mode}, endpoints...)...)
	cmd.Stderr = &p.stderr
	if curve != nil {
		cmd.Env = append(os.Environ(),
			"CURVE_SECRETKEY="+curve.SecretKey.Z85(), "CURVE_PUBLICKEY="+curve.SecretKey.Public().Z85())
		if !curve.Server {
			cmd.Env = append(cmd.Env, "CURVE_SERVERKEY="+curve.ServerKey.Z85())
		}
	}
	var err error
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(p.lines)
		s := bufio.NewScanner(stdout)
		s.Buffer(nil, 1<<20)
		for s.Scan() {
			p.lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-read
		_ = cmd.Wait()
	})
	return p
}

func (p *libzmqPeer) line() string {
	p.t.Helper()
	select {
	case l, ok := <-p.lines:
		if !ok {
			p.t.Fatalf("the libzmq peer ended: %s", p.stderr.String())
		}
		return l
	case <-time.After(60 * time.Second):
		p.t.Fatal("the libzmq peer prints nothing")
		return ""
	}
}

func (p *libzmqPeer) proceed() { _, _ = io.WriteString(p.stdin, "\n") }

func (p *libzmqPeer) wantOK() {
	p.t.Helper()
	if l := p.line(); l != "ok" {
		p.t.Fatal(l)
	}
}

// relay returns a Handler for one ROUTER that forwards messages to the peer of the other
// that the first frame names. It replaces that frame by the sender's identity.
func relay(to *Socket) func(*Conn, [][]byte) {
	return func(c *Conn, f [][]byte) {
		if dest := to.Lookup(f[0]); dest != nil {
			f[0] = c.Identity()
			_ = dest.Enqueue(f...)
		}
	}
}

// relays returns two ROUTERs that forward to each other.
func relays(t testing.TB, curve *curve.Config) (in, out *Socket) {
	ready := make(chan struct{})
	in = open(t, Router, Options{Identity: []byte("mux_in"), Curve: curve, Handler: func(c *Conn, f [][]byte) {
		<-ready
		relay(out)(c, f)
	}})
	out = open(t, Router, Options{Identity: []byte("mux_out"), Curve: curve, Handler: relay(in)})
	close(ready)
	return in, out
}

// curveConfigs returns the two sides of an encrypted connection.
func curveConfigs() (server, client *curve.Config) {
	server = &curve.Config{Server: true, SecretKey: curve.NewKey()}
	return server, &curve.Config{SecretKey: curve.NewKey(), ServerKey: server.SecretKey.Public()}
}

// eachMechanism runs a test with plain sockets, and with encrypted ones.
func eachMechanism(t *testing.T, test func(t *testing.T, server, client *curve.Config)) {
	t.Run("NULL", func(t *testing.T) { test(t, nil, nil) })
	t.Run("CURVE", func(t *testing.T) {
		server, client := curveConfigs()
		test(t, server, client)
	})
}

func TestLibzmqThroughARelay(t *testing.T) {
	eachMechanism(t, func(t *testing.T, server, client *curve.Config) {
		in, out := relays(t, server)
		p := startLibzmq(t, client, "relay", listen(t, in), listen(t, out))
		p.wantOK()
	})
}

func TestLibzmqSubscriber(t *testing.T) {
	eachMechanism(t, func(t *testing.T, server, client *curve.Config) {
		changes := make(chan string, 10)
		pub := open(t, Pub, Options{Curve: server, Subscribed: func(_ *Conn, topic []byte, on bool) { changes <- fmt.Sprint(string(topic), on) }})
		p := startLibzmq(t, client, "subscriber", listen(t, pub))
		await(t, changes, "subscription")
		await(t, changes, "subscription")
		_ = pub.Send(frames("c", "no")...)
		_ = pub.Send(frames("abc", "1")...)
		if got := await(t, changes, "cancellation"); got != "afalse" {
			t.Fatal(got)
		}
		big := strings.Repeat("x", 100_000)
		_ = pub.Send(frames("a", "no")...)
		_ = pub.Send(frames("b", "2")...)
		_ = pub.Send(frames("b", "", big)...)
		want := "[[b'abc', b'1'], [b'b', b'2'], [b'b', b'', b'" + big + "']]"
		if got := p.line(); got != want {
			t.Fatalf("got %.200s", got)
		}
	})
}

func TestLibzmqPublishers(t *testing.T) {
	eachMechanism(t, func(t *testing.T, server, client *curve.Config) {
		r := newRecorder()
		o := r.options()
		o.Curve = server
		sub := open(t, Sub, o)
		sub.Subscribe([]byte("engine."))
		p := startLibzmq(t, client, "publishers", listen(t, sub))
		for range 2 { // an XPUB, then a PUB with the same identity
			m := await(t, r.messages, "message")
			wantFrames(t, m.frames, frames("engine.0.stdout", "text"))
			p.proceed()
			for len(r.messages) > 0 {
				<-r.messages
			}
		}
		p.wantOK()
	})
}

func TestLibzmqIsDialed(t *testing.T) {
	eachMechanism(t, func(t *testing.T, server, client *curve.Config) {
		p := startLibzmq(t, server, "server")
		var port, pubPort int
		if _, err := fmt.Sscan(p.line(), &port, &pubPort); err != nil {
			t.Fatal(err)
		}
		s := newRecorder()
		o := s.options()
		o.Curve = client
		sub := open(t, Sub, o)
		sub.Subscribe(nil)
		dial(t, sub, fmt.Sprintf("tcp://127.0.0.1:%d", pubPort))
		wantFrames(t, await(t, s.messages, "publication").frames, frames("topic", "text"))
		for _, kind := range []Kind{Dealer, Router} {
			r := newRecorder()
			o := r.options()
			o.Curve = client
			o.Identity = []byte("engine-" + kind)
			sock := open(t, kind, o)
			dial(t, sock, fmt.Sprintf("tcp://127.0.0.1:%d", port))
			c := await(t, r.connected, "connection")
			if string(c.Identity()) != "mux_out" || c.Endpoint() == "" {
				t.Fatalf("identity %q, endpoint %q", c.Identity(), c.Endpoint())
			}
			if err := c.Send(frames("hello", "")...); err != nil {
				t.Fatal(err)
			}
			wantFrames(t, await(t, r.messages, "echo").frames, frames("hello", ""))
		}
		p.proceed()
		p.wantOK()
	})
}
