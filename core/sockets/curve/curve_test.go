package sockets

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/nacl/secretbox"
)

// Two pairs of keys that libzmq's documentation uses.
var documented = map[string]string{
	"JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6": "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7",
	"D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs": "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID",
}

func TestKeys(t *testing.T) {
	for secret, public := range documented {
		k, err := ParseKey(secret)
		if err != nil {
			t.Fatal(err)
		}
		if k.Z85() != secret || k.Public().Z85() != public {
			t.Errorf("%s: %s, public %s", secret, k.Z85(), k.Public().Z85())
		}
	}
	for range 1000 {
		k := NewKey()
		if again, err := ParseKey(k.Z85()); err != nil || again != k {
			t.Fatalf("%v became %v: %v", k, again, err)
		}
	}
	for _, bad := range []string{"", "short", strings.Repeat("#", 40), strings.Repeat("~", 40), strings.Repeat("0", 41), strings.Repeat("é", 20)} {
		if _, err := ParseKey(bad); err == nil || bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if c, err := CurveClient(""); c != nil || err != nil {
		t.Errorf("no key: %v, %v", c, err)
	}
	if _, err := CurveClient("short"); err == nil {
		t.Error("a malformed key makes a client")
	}
}

func TestCurveWithoutKeysPanics(t *testing.T) {
	for _, c := range []*Curve{{Server: true}, {}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("New took %+v", c)
				}
			}()
			New(Router, Options{Curve: c})
		}()
	}
}

// TestTrafficIsSecretbox compares with the library's secretbox, both ways.
func TestTrafficIsSecretbox(t *testing.T) {
	key := [32]byte(NewKey())
	const prefix = "CurveZMQMESSAGES"
	seal, open := newSealer(prefix, &key, 2), newOpener(prefix, &key, 2)
	for _, n := range []int{0, 1, 30, 31, 32, 33, 63, 64, 95, 96, 255, 256, cryptStep - 1, cryptStep, cryptStep + 1, cryptStep + 31, 5*cryptStep + 31 + 64, 1 << 20} {
		body := make([]byte, n)
		for i := range body {
			body[i] = byte(rand.Uint32())
		}
		counter := seal.next()
		out := make([]byte, n+curveOverhead)
		seal.seal(out, counter, sealedMore, body)
		want := binary.BigEndian.AppendUint64([]byte(curveMessage), counter)
		want = secretbox.Seal(want, append([]byte{sealedMore}, body...), counted(prefix, counter), &key)
		if !bytes.Equal(out, want) {
			t.Fatalf("%d bytes are sealed in another way than by secretbox", n)
		}
		for _, at := range []int{len(curveMessage) + 7, curveTagAt, curveFlagsAt, len(out) - 1} {
			bad := bytes.Clone(out)
			bad[at] ^= 0x80
			if _, err := open.open(bad); !errors.Is(err, errForged) {
				t.Fatalf("%d bytes with a change at %d: %v", n, at, err)
			}
		}
		flags, err := open.open(out)
		if err != nil || flags != flagMore || !bytes.Equal(out[curveOverhead:], body) {
			t.Fatalf("%d bytes: flags %#x, %v", n, flags, err)
		}
		if _, err := open.open(want); !errors.Is(err, errReplayed) {
			t.Fatalf("a frame that was there already: %v", err)
		}
	}
}

// handshakeOf makes both sides of a handshake.
func handshakeOf() (*curveServer, *curveClient) {
	server, client := curves()
	return &curveServer{curvePeer: curvePeer{keys: server.keys()}}, &curveClient{curvePeer{keys: client.keys()}}
}

// TestHandshake does a whole handshake and some traffic, and the same with one
// thing changed: the side that gets it must notice.
func TestHandshake(t *testing.T) {
	flip := func(at int) func([]byte) []byte {
		return func(b []byte) []byte { b[(at+len(b))%len(b)] ^= 1; return b }
	}
	cut := func(n int) func([]byte) []byte { return func(b []byte) []byte { return b[:len(b)-n] } }
	longer := func(b []byte) []byte { return append(b, 0) }
	counter := func(at int, n uint64) func([]byte) []byte {
		return func(b []byte) []byte { binary.BigEndian.PutUint64(b[at:], n); return b }
	}
	replace := func(at int, with Key) func([]byte) []byte {
		return func(b []byte) []byte { copy(b[at:], with[:]); return b }
	}
	for name, test := range map[string]struct {
		step   string
		change func([]byte) []byte
		want   error
	}{
		"good":                     {},
		"HELLO version":            {"hello", flip(0), errHello},
		"HELLO minor version":      {"hello", flip(1), errHello},
		"HELLO short":              {"hello", cut(1), errHello},
		"HELLO empty":              {"hello", func([]byte) []byte { return nil }, errHello},
		"HELLO long":               {"hello", longer, errHello},
		"HELLO key":                {"hello", flip(helloKeyAt), errHello},
		"HELLO weak key":           {"hello", replace(helloKeyAt, Key{}), errWeakKey},
		"HELLO weak key 1":         {"hello", replace(helloKeyAt, Key{1}), errWeakKey},
		"HELLO box":                {"hello", flip(-1), errHello},
		"HELLO counter 0":          {"hello", counter(helloCountAt, 0), errRepeated},
		"HELLO another counter":    {"hello", counter(helloCountAt, 9), errHello},
		"WELCOME nonce":            {"welcome", flip(0), errWelcome},
		"WELCOME box":              {"welcome", flip(-1), errWelcome},
		"WELCOME short":            {"welcome", cut(1), errWelcome},
		"WELCOME long":             {"welcome", longer, errWelcome},
		"INITIATE cookie":          {"initiate", flip(3), errCookie},
		"INITIATE counter":         {"initiate", counter(curveCookie, 7), errInitiate},
		"INITIATE counter repeats": {"initiate", counter(curveCookie, 1), errRepeated},
		"INITIATE box":             {"initiate", flip(curveCookie + 8 + 60), errInitiate},
		"INITIATE short":           {"initiate", cut(1), errInitiate},
		"INITIATE very short":      {"initiate", func(b []byte) []byte { return b[:initiateLeast-1] }, errInitiate},
		"READY box":                {"ready", flip(-1), errReadyBox},
		"READY counter":            {"ready", counter(0, 5), errReadyBox},
		"READY counter 0":          {"ready", counter(0, 0), errRepeated},
		"READY short":              {"ready", func(b []byte) []byte { return b[:readyLeast-1] }, errReadyBox},
	} {
		t.Run(name, func(t *testing.T) {
			server, client := handshakeOf()
			pass := func(step string, b []byte) []byte {
				if step == test.step {
					return test.change(b)
				}
				return b
			}
			check := func(step string, err error) bool {
				if step == test.step {
					if !errors.Is(err, test.want) {
						t.Fatalf("%s: %v, want %v", step, err, test.want)
					}
					return true
				}
				if err != nil {
					t.Fatalf("%s: %v", step, err)
				}
				return false
			}
			hello, err := client.hello()
			if err != nil {
				t.Fatal(err)
			}
			welcome, err := server.hello(pass("hello", hello))
			if check("hello", err) {
				return
			}
			initiate, err := client.welcome(pass("welcome", welcome), []byte("client's"))
			if check("welcome", err) {
				return
			}
			metadata, err := server.initiate(pass("initiate", initiate))
			if check("initiate", err) {
				return
			}
			if string(metadata) != "client's" {
				t.Errorf("metadata %q", metadata)
			}
			metadata, err = client.ready(pass("ready", server.ready([]byte("server's"))))
			if check("ready", err) {
				return
			}
			if string(metadata) != "server's" {
				t.Errorf("metadata %q", metadata)
			}
			seal, _ := server.traffic()
			_, open := client.traffic()
			b := make([]byte, 2+curveOverhead)
			seal.seal(b, seal.next(), 0, []byte("hi"))
			if _, err := open.open(b); err != nil || string(b[curveOverhead:]) != "hi" {
				t.Errorf("%q, %v", b[curveOverhead:], err)
			}
		})
	}
}

// TestVouch lets a client claim a key that it does not have, or vouch for
// another connection or another server.
func TestVouch(t *testing.T) {
	_, stranger := handshakeOf()
	for name, change := range map[string]func(c *curveClient, server Key){
		"somebody's key": func(c *curveClient, _ Key) {
			own := *c.keys
			own.own.public = stranger.keys.own.public
			c.keys = &own
		},
		"weak key": func(c *curveClient, _ Key) {
			own := *c.keys
			own.own.public = Key{}
			c.keys = &own
		},
		"another server": func(c *curveClient, _ Key) {
			own := *c.keys
			own.serverKey = stranger.keys.own.public
			c.keys = &own
		},
		"another connection": func(c *curveClient, _ Key) { c.short.public = stranger.keys.own.public },
	} {
		server, client := handshakeOf()
		hello, err := client.hello()
		if err != nil {
			t.Fatal(err)
		}
		welcome, err := server.hello(hello)
		if err != nil {
			t.Fatal(err)
		}
		change(client, server.keys.own.public)
		initiate, err := client.welcome(welcome, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := server.initiate(initiate); !errors.Is(err, errVouch) && !errors.Is(err, errWeakKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzServerHandshake gives a server arbitrary commands.
func FuzzServerHandshake(f *testing.F) {
	server, client := handshakeOf()
	hello, _ := client.hello()
	welcome, _ := server.hello(slices.Clone(hello))
	initiate, _ := client.welcome(welcome, []byte("metadata"))
	f.Add(hello, initiate)
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, hello, initiate []byte) {
		s := &curveServer{curvePeer: curvePeer{keys: server.keys}}
		if _, err := s.hello(hello); err != nil {
			return
		}
		if metadata, err := s.initiate(initiate); err == nil {
			t.Fatalf("an INITIATE for another connection gave %q", metadata)
		}
	})
}

// FuzzClientHandshake gives a client arbitrary answers.
func FuzzClientHandshake(f *testing.F) {
	server, client := handshakeOf()
	hello, _ := client.hello()
	welcome, _ := server.hello(hello)
	f.Add(welcome, []byte("metadata"), server.keys.serverKey[:])
	f.Add([]byte{}, []byte{}, []byte{})
	f.Fuzz(func(_ *testing.T, welcome, metadata, ready []byte) {
		c := *client
		if _, err := c.welcome(welcome, metadata); err == nil {
			_, _ = c.ready(ready)
		}
	})
}

// FuzzOpen compares what opens with the library's secretbox.
func FuzzOpen(f *testing.F) {
	key := [32]byte{1}
	const prefix = "CurveZMQMESSAGEC"
	seal := newSealer(prefix, &key, 0)
	for _, n := range []int{0, 40, 20_000} {
		b := make([]byte, n+curveOverhead)
		seal.seal(b, seal.next(), 0, make([]byte, n))
		f.Add(b)
	}
	f.Add([]byte(curveMessage))
	f.Fuzz(func(t *testing.T, b []byte) {
		var want []byte
		opens := false
		if len(b) >= curveOverhead {
			counter := binary.BigEndian.Uint64(b[len(curveMessage):])
			want, opens = secretbox.Open(nil, b[curveTagAt:], counted(prefix, counter), &key)
			opens = opens && counter > 0 && bytes.HasPrefix(b, []byte(curveMessage)) && want[0] <= sealedCommand
		}
		got := bytes.Clone(b)
		if _, err := newOpener(prefix, &key, 0).open(got); (err == nil) != opens {
			t.Fatalf("opens: %v, by secretbox: %v", err, opens)
		}
		if opens && !bytes.Equal(got[curveFlagsAt+1:], want[1:]) {
			t.Fatal("opens to something else than by secretbox")
		}
	})
}
