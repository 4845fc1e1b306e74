//go:build unix

package plugin

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/ipcore/ipcore/core/launch/registry"
	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/hostcert"
	"github.com/ipcore/ipcore/sdk/process"
)

// until waits for a condition.
func until(t testing.TB, d time.Duration, what string, f func() bool) {
	t.Helper()
	deadline := time.Now().Add(d)
	for !f() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", d, what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func alive(pid int) bool {
	_, err := process.Attach(process.State{PID: pid})
	return err == nil
}

func TestPluginLeavesNothing(t *testing.T) {
	runtimeDir := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", runtimeDir)
	p := openLocal(t)
	if i, err := os.Stat(p.socketDir.path); err != nil || i.Mode().Perm() != 0o700 || filepath.Dir(p.socketDir.path) != runtimeDir {
		t.Errorf("the socket's folder: %v, %v", i, err)
	}
	if _, err := os.Stat(filepath.Join(p.socketDir.path, "key.pem")); err == nil {
		t.Error("the plugin's key still exists after the start")
	}
	sockets, err := filepath.Glob(filepath.Join(p.socketDir.path, "plugin*"))
	if err != nil || len(sockets) != 1 {
		t.Fatalf("sockets: %v, %v", sockets, err)
	}
	if i, err := os.Stat(sockets[0]); err != nil || i.Mode().Perm()&0o077 != 0 {
		t.Errorf("the socket: %v, %v", i, err)
	}
	p.Close()
	p.Close()
	if alive(p.PID()) {
		t.Error("the plugin is running after Close")
	}
	if left, err := os.ReadDir(runtimeDir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestStrangersAreRefused(t *testing.T) {
	p := openLocal(t)
	sockets, err := filepath.Glob(filepath.Join(p.socketDir.path, "plugin*"))
	if err != nil || len(sockets) != 1 {
		t.Fatalf("sockets: %v, %v", sockets, err)
	}
	stranger, err := hostcert.New()
	if err != nil {
		t.Fatal(err)
	}
	trusting := stranger.Client()
	trusting.InsecureSkipVerify = true
	for name, creds := range map[string]credentials.TransportCredentials{
		"no TLS":                   insecure.NewCredentials(),
		"no certificate":           credentials.NewTLS(&tls.Config{InsecureSkipVerify: true}),
		"a stranger's certificate": credentials.NewTLS(trusting),
	} {
		conn, err := grpc.NewClient("unix:"+sockets[0], grpc.WithTransportCredentials(creds))
		if err != nil {
			t.Fatal(err)
		}
		if err := sdk.NewClient(conn).Ping(testContext(t)); err == nil {
			t.Errorf("%s: the plugin replied", name)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := p.rpc.Ping(testContext(t)); err != nil {
		t.Errorf("afterwards, to its host: %v", err)
	}
}

// startBare starts the built plugin without the registry.
func startBare(t *testing.T, env map[string]string) (*exec.Cmd, *bufio.Reader, *process.TailBuffer) {
	t.Helper()
	stderr := &process.TailBuffer{Max: 64 << 10}
	cmd := exec.Command(filepath.Join(binDir, "ipcore-launcher-local"))
	cmd.Env = process.Environ(env)
	cmd.Stderr = stderr
	process.SetGroup(cmd)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // ended already in good cases
		_ = cmd.Wait()
	})
	return cmd, bufio.NewReader(out), stderr
}

func TestWithoutCookie(t *testing.T) {
	cmd, out, stderr := startBare(t, nil)
	text, err := io.ReadAll(out)
	if err != nil || len(text) > 0 {
		t.Errorf("stdout: %q, %v", text, err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() < 1 {
		t.Errorf("exit: %v", err)
	}
	if !strings.Contains(stderr.String(), "ipcore starts it") {
		t.Errorf("stderr: %q", stderr)
	}
}

func TestFirstLine(t *testing.T) {
	dir := t.TempDir()
	certs, err := hostcert.New()
	if err != nil {
		t.Fatal(err)
	}
	if err := certs.Write(dir); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{
		sdk.EnvCookie: sdk.Cookie, "PLUGIN_PROTOCOL_VERSIONS": "7,1", "PLUGIN_UNIX_SOCKET_DIR": dir,
		"PLUGIN_CLIENT_CERT": string(certs.CA), sdk.EnvTLSDir: dir,
	}
	cmd, out, _ := startBare(t, env)
	line, err := out.ReadString('\n')
	f := strings.Split(strings.TrimSpace(line), "|")
	if err != nil || len(f) != 6 || f[0] != "1" || f[1] != "1" || f[2] != "unix" || filepath.Dir(f[3]) != dir || f[4] != "grpc" || f[5] != "" {
		t.Fatalf("first line %q, %v", line, err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if c, err := net.Dial("unix", f[3]); err != nil {
		t.Errorf("after SIGINT: %v", err)
	} else if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
	if left, err := os.ReadDir(dir); err == nil && len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}

	// Without the files, the plugin creates its own certificate. Without any certificate of
	// a host, it does not serve.
	dir = t.TempDir()
	env["PLUGIN_UNIX_SOCKET_DIR"] = dir
	delete(env, sdk.EnvTLSDir)
	_, out, _ = startBare(t, env)
	if line, err = out.ReadString('\n'); err != nil || strings.Count(line, "|") != 5 || len(line) < 300 || strings.HasSuffix(strings.TrimSpace(line), "=") {
		t.Errorf("own certificate: %q, %v", line, err)
	}
	delete(env, "PLUGIN_CLIENT_CERT")
	cmd, out, _ = startBare(t, env)
	if text, err := io.ReadAll(out); err != nil || len(text) > 0 {
		t.Errorf("without any certificate: %q, %v", text, err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("without any certificate it exits with 0")
	}
}

// TestHostKilled runs this test binary as a host, kills it, and checks that the plugin ends
// and the workload does not.
func TestHostKilled(t *testing.T) {
	if os.Getenv("PLUGIN_TEST_HOST") != "" {
		beHost(t, true)
		return
	}
	testHostKilled(t, true)
}

// TestHostKilledInStart kills a host that has not made another call for the workload. It may
// not have recorded the state, so the workload has to end as well.
func TestHostKilledInStart(t *testing.T) {
	if os.Getenv("PLUGIN_TEST_HOST") != "" {
		beHost(t, false)
		return
	}
	testHostKilled(t, false)
}

func testHostKilled(t *testing.T, known bool) {
	t.Helper()
	runtimeDir := t.TempDir()
	host := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	host.Env = process.Environ(map[string]string{"PLUGIN_TEST_HOST": binDir, "XDG_RUNTIME_DIR": runtimeDir, "TMPDIR": t.TempDir()})
	out, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	var plugin, workload int
	in := bufio.NewReader(out)
	for plugin == 0 {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatalf("the host said %q, %v", line, err)
		}
		_, _ = fmt.Sscanf(line, "plugin %d workload %d", &plugin, &workload)
	}
	defer func() { _ = syscall.Kill(workload, syscall.SIGKILL) }()
	if !alive(plugin) || !alive(workload) {
		t.Fatal("not alive before the host is killed")
	}
	if err := host.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = host.Wait() // killed
	until(t, 5*time.Second, "the plugin ends", func() bool { return !alive(plugin) })
	if known != alive(workload) {
		t.Errorf("workload known to the host: %t, still alive: %t", known, alive(workload))
	}
	if left, err := os.ReadDir(runtimeDir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func beHost(t *testing.T, known bool) {
	p := openLocal(t)
	l := p.Workload(sdk.SingleEngine, "w")
	r := sleepers(t, 1)
	state, err := l.Start(testContext(t), r)
	if err != nil {
		t.Fatal(err)
	}
	var st process.State
	if err := state.Decode(&st); err != nil {
		t.Fatal(err)
	}
	if known {
		if _, err := l.ToDict(testContext(t)); err != nil {
			t.Fatal(err)
		}
	}
	fmt.Fprintf(os.Stdout, "plugin %d workload %d\n", p.PID(), st.PID)
	<-p.Done() // this process is killed before that
}

func TestPluginKilled(t *testing.T) {
	ctx := testContext(t)
	p := openLocal(t)
	l := p.Workload(sdk.Engine, "w")
	state, err := l.Start(ctx, sleepers(t, 2))
	if err != nil {
		t.Fatal(err)
	}
	events := l.Events(ctx, 0)
	nextEvent(t, events)
	if err := syscall.Kill(p.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for range events.C {
	}
	if !errors.Is(events.Err(), sdk.ErrPluginGone) {
		t.Errorf("events: %v", events.Err())
	}
	<-p.Done()
	if err := l.Stop(ctx); !errors.Is(err, sdk.ErrPluginGone) {
		t.Errorf("Stop: %v", err)
	}
	start := time.Now()
	p.Close()
	if d := time.Since(start); d > time.Second {
		t.Errorf("Close of a dead plugin took %v", d)
	}
	l = openLocal(t).Workload(sdk.Engine, "w")
	if _, err := l.FromDict(ctx, state); err != nil {
		t.Fatal(err)
	}
	if err := l.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// TestBadPlugins opens executables that are not valid plugins. Open has to fail soon, say
// what is wrong, and leave nothing behind.
func TestBadPlugins(t *testing.T) {
	const head = "#!/bin/sh\n[ \"$1\" = describe ] && { echo '{\"name\":\"bad\",\"version\":\"1\",\"kinds\":[\"engine\"],\"protocol\":[1]}'; exit; }\n"
	cert := strings.Repeat("A", 400)
	for name, c := range map[string]struct{ script, want string }{
		"exits":              {"echo the reason >&2; exit 1", "the reason"},
		"prints nothing":     {"sleep 30", "no line within 1s"},
		"prints something":   {"echo hello; sleep 30", `not the handshake but "hello"`},
		"garbage":            {"head -c 3000000 /dev/zero; sleep 30", ""},
		"another protocol":   {"echo '1|9|unix|/x|grpc|'; sleep 30", "incompatible API version"},
		"net/rpc":            {"echo '1|1|unix|/x|netrpc|'; sleep 30", "unsupported plugin protocol"},
		"elsewhere":          {"echo \"1|1|unix|/etc/hostname|grpc|\"; sleep 30", "not in the folder"},
		"another machine":    {"echo '1|1|tcp|192.0.2.1:80|grpc|'; sleep 30", "loopback"},
		"nobody listens":     {"echo \"1|1|unix|$PLUGIN_UNIX_SOCKET_DIR/s|grpc|\"; sleep 30", "no such file"},
		"a bad certificate":  {"echo \"1|1|unix|$PLUGIN_UNIX_SOCKET_DIR/s|grpc|" + cert + "\"; sleep 30", "cert"},
		"padded certificate": {"echo \"1|1|unix|$PLUGIN_UNIX_SOCKET_DIR/s|grpc|" + cert + "==\"; sleep 30", "cert"},
		"holds the pipes":    {"sleep 30 & echo no >&2; exit 1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := testContext(t)
			f, err := registry.Find(ctx, sdk.Engine, script(t, filepath.Join(t.TempDir(), "bad"), head+c.script), registry.Search{})
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			p, err := Open(ctx, f, OpenOptions{StartTimeout: time.Second})
			if err == nil {
				p.Close()
				t.Fatal("it was opened")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
			if d := time.Since(start); d > 5*time.Second {
				t.Errorf("it took %v", d)
			}
		})
	}
}

// TestWrappers opens the local launcher through wrapper scripts, as environment modules and
// virtual environments install them.
func TestWrappers(t *testing.T) {
	local := filepath.Join(binDir, "ipcore-launcher-local")
	for name, text := range map[string]string{
		"exec":                      `exec ` + local + ` "$@"`,
		"without exec":              local + ` "$@"`,
		"its own certificate":       `unset IPCORE_TLS_DIR; exec ` + local + ` "$@"`,
		"a long line on stderr":     `[ "$1" ] || { head -c 200000 /dev/zero | tr '\0' x >&2; echo >&2; }; exec ` + local + ` "$@"`,
		"output on stderr":          `echo starting >&2; exec ` + local + ` "$@"`,
		"a long TMPDIR and no PATH": `PATH= TMPDIR=/tmp/` + strings.Repeat("x", 120) + ` exec ` + local + ` "$@"`,
	} {
		t.Run(name, func(t *testing.T) {
			ctx := testContext(t)
			f, err := registry.Find(ctx, sdk.Engine, script(t, filepath.Join(t.TempDir(), "wrapper"), "#!/bin/sh\n"+text+"\n"), registry.Search{})
			if err != nil {
				t.Fatal(err)
			}
			p, err := Open(ctx, f, OpenOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Workload(sdk.Engine, "x").Stop(ctx); !errors.Is(err, sdk.ErrNotRunning) {
				t.Errorf("Stop returned %v", err)
			}
			start := time.Now()
			p.Close()
			if d := time.Since(start); d > 2*time.Second {
				t.Errorf("Close took %v", d)
			}
		})
	}
}

func TestOpenCanceled(t *testing.T) {
	path := script(t, filepath.Join(t.TempDir(), "bad"),
		"#!/bin/sh\n[ \"$1\" = describe ] && { echo '{\"name\":\"bad\",\"version\":\"1\",\"kinds\":[\"engine\"],\"protocol\":[1]}'; exit; }\nsleep 60\n")
	f, err := registry.Find(testContext(t), sdk.Engine, path, registry.Search{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(testContext(t), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := Open(ctx, f, OpenOptions{}); err == nil {
		t.Error("it was opened")
	}
	if d := time.Since(start); d > 3*time.Second {
		t.Errorf("Open returned %v after its context's end", d)
	}
}

func TestConcurrentWorkloads(t *testing.T) {
	p := openLocal(t)
	ctx := testContext(t)
	errs := make(chan error)
	for i := range 10 {
		go func() {
			l := p.Workload(sdk.SingleEngine, fmt.Sprint("w", i))
			_, err := l.Start(ctx, sdk.StartRequest{ProfileDir: t.TempDir(), Command: []string{"sleep", "300"}})
			events := l.Events(ctx, 0)
			err = errors.Join(err, l.Stop(ctx))
			for range events.C {
			}
			errs <- errors.Join(err, events.Err())
		}()
	}
	for range 10 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
