package controller

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipcore/ipcore/core/client"
	"github.com/ipcore/ipcore/core/connfile"
	"github.com/ipcore/ipcore/core/engine"
	"github.com/ipcore/ipcore/core/profile"
	"github.com/ipcore/ipcore/core/sockets/curve"
)

// wiretap forwards connections and keeps all bytes that pass.
type wiretap struct {
	t    *testing.T
	mu   sync.Mutex
	seen bytes.Buffer
}

// Write implements io.Writer.
func (w *wiretap) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen.Write(p)
}

func (w *wiretap) saw(text string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.Contains(w.seen.Bytes(), []byte(text))
}

// tap returns a port that forwards to another one.
func (w *wiretap) tap(port int) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	var group sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	group.Go(func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if err != nil {
				_ = from.Close()
				continue
			}
			mu.Lock()
			open = append(open, from, to)
			mu.Unlock()
			forward := func(to, from net.Conn) {
				_, _ = io.Copy(to, io.TeeReader(from, w)) // until either side has closed
				_ = to.Close()
				_ = from.Close()
			}
			group.Go(func() { forward(to, from) })
			group.Go(func() { forward(from, to) })
		}
	})
	w.t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		group.Wait()
	})
	return l.Addr().(*net.TCPAddr).Port
}

// file returns the path of a copy of a connection file with all its ports tapped.
func (w *wiretap) file(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(text, &fields); err != nil {
		w.t.Fatal(err)
	}
	for name, value := range fields {
		switch v := value.(type) {
		case float64:
			fields[name] = w.tap(int(v))
		case []any:
			for i := range v {
				v[i] = w.tap(int(v[i].(float64)))
			}
		}
	}
	if text, err = json.Marshal(fields); err != nil {
		w.t.Fatal(err)
	}
	copied := filepath.Join(w.t.TempDir(), filepath.Base(path))
	if err := os.WriteFile(copied, text, 0o600); err != nil {
		w.t.Fatal(err)
	}
	return copied
}

// startNative runs a native engine in this process until the test ends.
func startNative(t *testing.T, file string, p interpreter) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- engine.Run(ctx, engine.Options{File: file, Python: p.path, WorkDir: t.TempDir()})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("native engine: %v", err)
		}
	})
}

// TestNothingIsReadableOnTheWire connects a native engine and a Go client through a
// wiretap. Without encryption the wiretap finds the texts that it looks for.
func TestNothingIsReadableOnTheWire(t *testing.T) {
	p := pythons(t)[0]
	for name, encryption := range map[string]Encryption{"encrypted": EncryptAlways, "plain": EncryptNever} {
		t.Run(name, func(t *testing.T) {
			c := start(t, Options{Encryption: encryption})
			tap := &wiretap{t: t}
			startNative(t, tap.file(c.engine), p)
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			defer cancel()
			own, err := client.Connect(ctx, client.Options{File: tap.file(c.client)})
			if err != nil {
				t.Fatal(err)
			}
			defer own.Close()
			if err := own.WaitForEngines(ctx, 1, nil); err != nil {
				t.Fatal(err)
			}
			results, err := own.Execute(ctx, nil, "print('se'+'cret')\nb'x' * 200_000", client.ExecuteOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.TrimSpace(results[0].Stdout); got != "secret" {
				t.Errorf("output %q", got)
			}
			for _, text := range []string{"<IDS|MSG>", "secret", "msg_id", "xxxxxxxx"} {
				if saw := tap.saw(text); saw != (encryption == EncryptNever) {
					t.Errorf("%q was seen: %v", text, saw)
				}
			}
		})
	}
}

// TestCurveWithPython runs Python's engines and clients over CURVE, together with a
// native engine.
func TestCurveWithPython(t *testing.T) {
	withEngines(t, 1, Options{Encryption: EncryptAlways}, func(t *testing.T, c *cluster, p interpreter, _ []*engineProcess) {
		file, err := connfile.ReadClient(c.client)
		if err != nil {
			t.Fatal(err)
		}
		if file.Key != "" || len(serverKey(file.CurveServerKey)) != 40 {
			t.Fatalf("key %q, curve_serverkey %q", file.Key, serverKey(file.CurveServerKey))
		}
		startNative(t, c.engine, p)
		c.run(p, `
import numpy
until(lambda: len(rc.ids) == 2)
assert rc[:].apply_sync(lambda: 6 * 7) == [42, 42]
assert rc.load_balanced_view().map_sync(lambda x: x * x, range(50)) == [x * x for x in range(50)]
a = numpy.arange(300_000.)
rc[:].push({'a': a}, block=True)
assert all((b == a).all() for b in rc[:].pull('a', block=True))
assert rc.broadcast_view(is_coalescing=True).apply_sync(lambda: 'b') == ['b', 'b']
ar = rc[:].execute('print("hello")', silent=False)
ar.get(20)
ar.wait_for_output(20)
assert ar.stdout == ['hello\n', 'hello\n'], ar.stdout
assert rc.queue_status()['unassigned'] == 0
`)
	})
}

// TestPlainPeersAreRefused connects without encryption, and with the key of
// another controller.
func TestPlainPeersAreRefused(t *testing.T) {
	c := start(t, Options{Encryption: EncryptAlways})
	file, err := connfile.ReadClient(c.client)
	if err != nil {
		t.Fatal(err)
	}
	if !isAlive(file) {
		t.Fatal("the controller does not reply to a peer with its own file")
	}
	other := curve.NewKey().Public().Z85()
	for reason, key := range map[string]*string{"speaks NULL": nil, "does not know this server's key": &other} {
		stranger := *file
		stranger.CurveServerKey = key
		if isAlive(&stranger) {
			t.Errorf("a peer that %s gets a reply", reason)
		}
	}
	if log := c.log.String(); strings.Count(log, "refused a connection") == 0 {
		t.Errorf("the log has no line about it:\n%s", log)
	}
}

// TestCurveReuse starts a controller again with the same files, which stay valid for
// its peers. When encryption is switched off, the files are not reused.
func TestCurveReuse(t *testing.T) {
	o := Options{Encryption: EncryptAlways, Reuse: true}
	first := start(t, o)
	file, err := connfile.ReadClient(first.client)
	if err != nil {
		t.Fatal(err)
	}
	first.end()
	secret := filepath.Join(filepath.Dir(first.client), "ipcontroller-curve.key")
	info, err := os.Stat(secret)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode() != 0o600 {
		t.Errorf("%s has mode %v", secret, info.Mode())
	}
	o.Profile = profile.Profile{Dir: first.dir}
	second := start(t, o)
	if !isAlive(file) {
		t.Error("the previous client file does not lead to the new controller")
	}
	second.end()
	for what, change := range map[string]func(*Options){
		"not encrypted": func(o *Options) { o.Encryption = EncryptNever },
		"another key":   func(o *Options) { o.CurveSecretKey = curve.NewKey().Z85() },
	} {
		changed := o
		change(&changed)
		c := start(t, changed)
		if !strings.Contains(c.log.String(), "no connection files to reuse") {
			t.Errorf("%s: files were reused:\n%s", what, c.log)
		}
		c.end()
	}
}

// TestEncryptionChoice checks when connections are encrypted, and with which keys.
func TestEncryptionChoice(t *testing.T) {
	t.Setenv("IPP_ENABLE_CURVE", "")
	t.Setenv("IPP_CURVE_PUBLICKEY", "")
	t.Setenv("IPP_CURVE_SECRETKEY", "")
	t.Setenv("IPP_SESSION_KEY", "")
	for _, test := range []struct {
		o    Options
		want bool
	}{
		{Options{EngineIP: "127.0.0.1", ClientIP: "127.0.0.1"}, false},
		{Options{EngineIP: "[::1]", ClientIP: "localhost"}, false},
		{Options{EngineIP: "127.0.0.1", ClientIP: "127.0.0.1", Encryption: EncryptAlways}, true},
		{Options{EngineIP: "*", ClientIP: "127.0.0.1"}, true},
		{Options{EngineIP: "127.0.0.1", ClientIP: "0.0.0.0"}, true},
		{Options{EngineIP: "192.0.2.1", ClientIP: "node.example.org"}, true},
		{Options{EngineIP: "*", ClientIP: "*", Encryption: EncryptNever}, false},
	} {
		if got := test.o.encrypted(); got != test.want {
			t.Errorf("%s and %s, %d: encrypted %v", test.o.EngineIP, test.o.ClientIP, test.o.Encryption, got)
		}
	}
	local := Options{EngineIP: "127.0.0.1", ClientIP: "127.0.0.1"}
	t.Setenv("IPP_ENABLE_CURVE", "1")
	if !local.encrypted() {
		t.Error("IPP_ENABLE_CURVE=1 has no effect")
	}
	if key, err := local.key(); err != nil || key != "" {
		t.Errorf("key %q, %v", key, err)
	}
	t.Setenv("IPP_SESSION_KEY", "configured")
	if key, err := local.key(); err != nil || key != "configured" {
		t.Errorf("key %q, %v", key, err)
	}
	secret := curve.NewKey()
	t.Setenv("IPP_CURVE_SECRETKEY", secret.Z85())
	t.Setenv("IPP_CURVE_PUBLICKEY", secret.Public().Z85())
	if got, err := local.configuredSecret(); err != nil || got != secret {
		t.Errorf("secret of the environment: %v", err)
	}
	t.Setenv("IPP_CURVE_PUBLICKEY", curve.NewKey().Public().Z85())
	if _, err := local.configuredSecret(); err == nil {
		t.Error("keys that do not match are accepted")
	}
	t.Setenv("IPP_CURVE_SECRETKEY", "")
	if _, err := local.configuredSecret(); err == nil {
		t.Error("a public key alone is accepted")
	}
	local.CurveSecretKey = "short"
	if _, err := local.configuredSecret(); err == nil || strings.Contains(err.Error(), "short") {
		t.Errorf("a malformed key: %v", err)
	}
}
