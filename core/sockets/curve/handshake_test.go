package curve

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/nacl/secretbox"

	"github.com/ipcore/ipcore/core/sockets/zmtp"
)

// documented has the two pairs of keys of libzmq's documentation.
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
	if c, err := ClientConfig(""); c != nil || err != nil {
		t.Errorf("no key: %v, %v", c, err)
	}
	if _, err := ClientConfig("short"); err == nil {
		t.Error("a malformed key is accepted")
	}
}

func TestMissingKeysPanic(t *testing.T) {
	for _, c := range []*Config{{Server: true}, {}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Keys accepts %+v", c)
				}
			}()
			c.Keys()
		}()
	}
}

// TestStreamsAreSecretbox compares Sealer and Opener with the library's secretbox.
func TestStreamsAreSecretbox(t *testing.T) {
	key := [32]byte(NewKey())
	const prefix = "CurveZMQMESSAGES"
	seal, open := newSealer(prefix, &key, 2), newOpener(prefix, &key, 2)
	for _, n := range []int{0, 1, 30, 31, 32, 33, 63, 64, 95, 96, 255, 256, stepSize - 1, stepSize, stepSize + 1, stepSize + 31, 5*stepSize + 31 + 64, 1 << 20} {
		body := make([]byte, n)
		for i := range body {
			body[i] = byte(rand.Uint32())
		}
		counter := seal.Next()
		out := make([]byte, n+Overhead)
		seal.Seal(out, counter, zmtp.FlagMore, body)
		want := binary.BigEndian.AppendUint64([]byte(messageName), counter)
		want = secretbox.Seal(want, append([]byte{sealedMore}, body...), counterNonce(prefix, counter), &key)
		if !bytes.Equal(out, want) {
			t.Fatalf("%d bytes are sealed differently than by secretbox", n)
		}
		for _, at := range []int{len(messageName) + 7, tagAt, flagsAt, len(out) - 1} {
			bad := bytes.Clone(out)
			bad[at] ^= 0x80
			if _, err := open.Open(bad); !errors.Is(err, errForged) {
				t.Fatalf("%d bytes, one of them changed at %d: %v", n, at, err)
			}
		}
		flags, err := open.Open(out)
		if err != nil || flags != zmtp.FlagMore || !bytes.Equal(out[Overhead:], body) {
			t.Fatalf("%d bytes: flags %#x, %v", n, flags, err)
		}
		if _, err := open.Open(want); !errors.Is(err, errReplayed) {
			t.Fatalf("a repeated frame: %v", err)
		}
	}
}

// Flags that ZMTP does not have end the connection.
func TestImpossibleFlags(t *testing.T) {
	for _, flags := range []byte{sealedMore | sealedCommand, 4, 0x80} {
		seal, open := newSealer("CurveZMQMESSAGES", new([32]byte), 0), newOpener("CurveZMQMESSAGES", new([32]byte), 0)
		b := make([]byte, Overhead)
		seal.seal(b, seal.Next(), flags, nil)
		if _, err := open.Open(b); !errors.Is(err, errSealedFlags) {
			t.Errorf("flags %#x: %v", flags, err)
		}
	}
}

// handshakes returns both sides of a handshake.
func handshakes() (*serverHandshake, *clientHandshake) {
	server := &Config{Server: true, SecretKey: NewKey()}
	client := &Config{SecretKey: NewKey(), ServerKey: server.SecretKey.Public()}
	return &serverHandshake{handshake: handshake{keys: server.Keys()}}, &clientHandshake{handshake{keys: client.Keys()}}
}

// TestHandshake runs a whole handshake and sends a frame. Then it repeats that with one
// change in one command, which the receiving side must detect.
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
		"good":                      {},
		"HELLO version":             {"hello", flip(0), errHello},
		"HELLO minor version":       {"hello", flip(1), errHello},
		"HELLO short":               {"hello", cut(1), errHello},
		"HELLO empty":               {"hello", func([]byte) []byte { return nil }, errHello},
		"HELLO long":                {"hello", longer, errHello},
		"HELLO key":                 {"hello", flip(helloKeyAt), errHello},
		"HELLO weak key":            {"hello", replace(helloKeyAt, Key{}), errWeakKey},
		"HELLO weak key 1":          {"hello", replace(helloKeyAt, Key{1}), errWeakKey},
		"HELLO box":                 {"hello", flip(-1), errHello},
		"HELLO counter 0":           {"hello", counter(helloCountAt, 0), errRepeated},
		"HELLO another counter":     {"hello", counter(helloCountAt, 9), errHello},
		"WELCOME nonce":             {"welcome", flip(0), errWelcome},
		"WELCOME box":               {"welcome", flip(-1), errWelcome},
		"WELCOME short":             {"welcome", cut(1), errWelcome},
		"WELCOME long":              {"welcome", longer, errWelcome},
		"INITIATE cookie":           {"initiate", flip(3), errCookie},
		"INITIATE counter":          {"initiate", counter(cookieSize, 7), errInitiate},
		"INITIATE repeated counter": {"initiate", counter(cookieSize, 1), errRepeated},
		"INITIATE box":              {"initiate", flip(cookieSize + 8 + 60), errInitiate},
		"INITIATE short":            {"initiate", cut(1), errInitiate},
		"INITIATE very short":       {"initiate", func(b []byte) []byte { return b[:minInitiate-1] }, errInitiate},
		"READY box":                 {"ready", flip(-1), errReadyBox},
		"READY counter":             {"ready", counter(0, 5), errReadyBox},
		"READY counter 0":           {"ready", counter(0, 0), errRepeated},
		"READY short":               {"ready", func(b []byte) []byte { return b[:minReady-1] }, errReadyBox},
	} {
		t.Run(name, func(t *testing.T) {
			server, client := handshakes()
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
			seal, _ := server.streams()
			_, open := client.streams()
			b := make([]byte, 2+Overhead)
			seal.Seal(b, seal.Next(), 0, []byte("hi"))
			if _, err := open.Open(b); err != nil || string(b[Overhead:]) != "hi" {
				t.Errorf("%q, %v", b[Overhead:], err)
			}
		})
	}
}

// TestVouch checks that a client can neither claim a key that it does not have, nor use
// a vouch made for another connection or another server.
func TestVouch(t *testing.T) {
	_, stranger := handshakes()
	for name, change := range map[string]func(c *clientHandshake, server Key){
		"stranger's key": func(c *clientHandshake, _ Key) {
			own := *c.keys
			own.own.public = stranger.keys.own.public
			c.keys = &own
		},
		"weak key": func(c *clientHandshake, _ Key) {
			own := *c.keys
			own.own.public = Key{}
			c.keys = &own
		},
		"another server": func(c *clientHandshake, _ Key) {
			own := *c.keys
			own.serverKey = stranger.keys.own.public
			c.keys = &own
		},
		"another connection": func(c *clientHandshake, _ Key) { c.short.public = stranger.keys.own.public },
	} {
		server, client := handshakes()
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

// FuzzServerHandshake sends arbitrary commands to a server.
func FuzzServerHandshake(f *testing.F) {
	server, client := handshakes()
	hello, _ := client.hello()
	welcome, _ := server.hello(slices.Clone(hello))
	initiate, _ := client.welcome(welcome, []byte("metadata"))
	f.Add(hello, initiate)
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, hello, initiate []byte) {
		s := &serverHandshake{handshake: handshake{keys: server.keys}}
		if _, err := s.hello(hello); err != nil {
			return
		}
		if metadata, err := s.initiate(initiate); err == nil {
			t.Fatalf("an INITIATE for another connection gave %q", metadata)
		}
	})
}

// FuzzClientHandshake sends arbitrary replies to a client.
func FuzzClientHandshake(f *testing.F) {
	server, client := handshakes()
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

// FuzzOpen checks that exactly those frames open that the library's secretbox opens.
func FuzzOpen(f *testing.F) {
	key := [32]byte{1}
	const prefix = "CurveZMQMESSAGEC"
	seal := newSealer(prefix, &key, 0)
	for _, n := range []int{0, 40, 20_000} {
		b := make([]byte, n+Overhead)
		seal.Seal(b, seal.Next(), 0, make([]byte, n))
		f.Add(b)
	}
	f.Add([]byte(messageName))
	f.Fuzz(func(t *testing.T, b []byte) {
		var want []byte
		opens := false
		if len(b) >= Overhead {
			counter := binary.BigEndian.Uint64(b[len(messageName):])
			want, opens = secretbox.Open(nil, b[tagAt:], counterNonce(prefix, counter), &key)
			opens = opens && counter > 0 && bytes.HasPrefix(b, []byte(messageName)) && want[0] <= sealedCommand
		}
		got := bytes.Clone(b)
		if _, err := newOpener(prefix, &key, 0).Open(got); (err == nil) != opens {
			t.Fatalf("Open: %v; secretbox opens it: %v", err, opens)
		}
		if opens && !bytes.Equal(got[flagsAt+1:], want[1:]) {
			t.Fatal("Open and secretbox give different contents")
		}
	})
}
