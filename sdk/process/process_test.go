//go:build unix

package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ipcore/ipcore/sdk"
)

func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// sh starts a shell script whose output goes to a file of the test.
func startShell(t testing.TB, script string) *Process {
	t.Helper()
	p, err := Start(Options{Command: []string{"/bin/sh", "-c", script}, OutputFile: filepath.Join(t.TempDir(), "log", "out")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // kill without grace
		_ = p.Stop(ctx, 0)
	})
	return p
}

func waitExit(t testing.TB, p *Process) sdk.Exit {
	t.Helper()
	e, err := p.Wait(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func waitFor(t testing.TB, what string, f func() bool) {
	t.Helper()
	limit := time.Now().Add(10 * time.Second)
	for !f() {
		if time.Now().After(limit) {
			t.Fatalf("timed out waiting for: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func TestExit(t *testing.T) {
	for script, want := range map[string]sdk.Exit{
		"exit 0":                     {},
		"echo a; echo b >&2; exit 9": {Code: 9, Output: "a\nb\n"},
		"kill -9 $$":                 {Code: -1, Signal: "SIGKILL"},
		"kill -11 $$":                {Code: -1, Signal: "SIGSEGV"},
		`printf 'no end \377'`:       {Output: "no end \uFFFD"},
	} {
		p := startShell(t, script)
		if got := waitExit(t, p); got != want {
			t.Errorf("%s: %+v, want %+v", script, got, want)
		}
		if p.Alive() {
			t.Errorf("%s: alive after its end", script)
		}
		if err := p.Stop(testContext(t), 0); err != nil {
			t.Errorf("%s: Stop after its end: %v", script, err)
		}
		if err := p.Signal("TERM"); !errors.Is(err, sdk.ErrProcessState) {
			t.Errorf("%s: Signal after its end: %v", script, err)
		}
		if _, err := Attach(p.State()); !errors.Is(err, sdk.ErrNotRunning) {
			t.Errorf("%s: Attach after its end: %v", script, err)
		}
	}
}

func TestDetached(t *testing.T) {
	t.Setenv("PLUGIN_SOMETHING", "x")
	t.Setenv(sdk.EnvCookie, sdk.Cookie)
	t.Setenv("KEPT", "old")
	t.Setenv("REPLACED", "old")
	out := filepath.Join(t.TempDir(), "a", "b", "out.log")
	dir := t.TempDir()
	old := syscall.Umask(0o022)
	defer syscall.Umask(old)
	p, err := Start(Options{
		Command: []string{"sh", "-c", `env; pwd; cat; ps -o sid= -p $$; umask`},
		Env:     map[string]string{"REPLACED": "new", "ADDED": "a b"}, Dir: dir, OutputFile: out,
	})
	if err != nil {
		t.Fatal(err)
	}
	e := waitExit(t, p)
	lines := strings.Split(strings.TrimSpace(e.Output), "\n")
	for _, want := range []string{"KEPT=old", "REPLACED=new", "ADDED=a b"} {
		if !slices.Contains(lines, want) {
			t.Errorf("no line %q in\n%s", want, e.Output)
		}
	}
	if strings.Contains(e.Output, "PLUGIN_") || strings.Contains(e.Output, sdk.EnvCookie) {
		t.Errorf("the process sees variables of the handshake:\n%s", e.Output)
	}
	if sid := strings.TrimSpace(lines[len(lines)-2]); sid != strconv.Itoa(p.State().PID) {
		t.Errorf("session %s of pid %d", sid, p.State().PID)
	}
	if umask := lines[len(lines)-1]; umask != "0022" {
		t.Errorf("umask %s", umask)
	}
	if i, err := os.Stat(out); err != nil || i.Mode().Perm() != 0o600 {
		t.Errorf("the log file: %v, %v", i, err)
	}
	if p.State().OutputFile != out {
		t.Errorf("state: %+v", p.State())
	}
}

func TestBadOptions(t *testing.T) {
	for _, o := range []Options{
		{}, {Command: []string{""}}, {Command: []string{"/no/such/program"}}, {Command: []string{"no-such-program-anywhere"}},
		{Command: []string{"true"}, Dir: "/no/such/folder"}, {Command: []string{"true"}, OutputFile: "/proc/nothing/out"},
		{Command: []string{"true"}, Env: map[string]string{"A=B": ""}}, {Command: []string{"true"}, Env: map[string]string{"A": "\x00"}},
	} {
		if _, err := Start(o); !errors.Is(err, sdk.ErrBadOption) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// A process that is not a child is found again, and its end is noticed at once.
func TestAttach(t *testing.T) {
	// The shell ends, and init becomes the parent of its child.
	dir := t.TempDir()
	parent := exec.Command("sh", "-c", `setsid sh -c 'echo $$ >"$0/pid.new"; mv "$0/pid.new" "$0/pid"; exec sleep 300' "$0" </dev/null >/dev/null 2>&1 &`, dir)
	if err := parent.Run(); err != nil {
		t.Fatal(err)
	}
	var pid int
	waitFor(t, "the process has started", func() bool {
		b, err := os.ReadFile(filepath.Join(dir, "pid"))
		if err != nil {
			return false
		}
		pid, err = strconv.Atoi(strings.TrimSpace(string(b)))
		return err == nil
	})
	state, err := identify(pid)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(state)
	if err != nil {
		t.Fatal(err)
	}
	var again State
	if err := json.Unmarshal(text, &again); err != nil || again != state {
		t.Fatalf("%s: %+v, %v", text, again, err)
	}
	p, err := Attach(again)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(testContext(t), 20*time.Millisecond)
	defer cancel()
	if _, err := p.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Wait while it lives: %v", err)
	}
	killed := time.Now()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if e := waitExit(t, p); e.Code != -1 {
		t.Errorf("exit %+v", e)
	}
	if d := time.Since(killed); d > time.Second {
		t.Errorf("the end was noticed after %v", d)
	}
}

func TestAttachRefusesOthers(t *testing.T) {
	p := startShell(t, "exec sleep 300")
	good := p.State()
	if _, err := Attach(good); err != nil {
		t.Fatalf("%+v: %v", good, err)
	}
	older := good
	older.CreateTime -= 5000
	for name, s := range map[string]State{"recycled pid": older, "no pid": {}, "negative": {PID: -1}, "nobody": {PID: 1 << 22, CreateTime: 1}} {
		if _, err := Attach(s); !errors.Is(err, sdk.ErrNotRunning) {
			t.Errorf("%s: %v", name, err)
		}
	}
	renamed := good
	renamed.Host = "the name it had"
	if _, err := Attach(renamed); err != nil {
		t.Errorf("after the machine's name changed: %v", err)
	}
	for name, change := range map[string]func(*State){
		"another machine":   func(s *State) { s.Host, s.Boot, s.CreateTime = "another", "another", 1 },
		"another container": func(s *State) { s.Host, s.Namespace = "another", "another" },
	} {
		s := good
		change(&s)
		if s.Namespace == "another" && good.Namespace == "" {
			continue // this system has no pid namespaces
		}
		if s.Boot == "another" && good.Boot == "" {
			s.Boot = ""
		}
		if _, err := Attach(s); !errors.Is(err, sdk.ErrUnknownStatus) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if good.Boot != "" {
		before := good
		before.Boot = "the boot before"
		if _, err := Attach(before); !errors.Is(err, sdk.ErrNotRunning) {
			t.Errorf("after a reboot: %v", err)
		}
	}
	upstream, err := Attach(State{PID: good.PID, OutputFile: "/o"})
	if err != nil || upstream.State().CreateTime != good.CreateTime || upstream.State().OutputFile != "/o" {
		t.Errorf("a state without a create time: %+v, %v", upstream, err)
	}
}

// A zombie, here a child that is not waited for, is not alive.
func TestZombie(t *testing.T) {
	cmd := exec.Command("sh", "-c", "exit 0")
	detach(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	s := State{PID: cmd.Process.Pid}
	waitFor(t, "a zombie counts as ended", func() bool { return s.check() != nil })
	if err := syscall.Kill(s.PID, 0); err != nil {
		t.Errorf("it was not a zombie: %v", err)
	}
}

func TestStopKillsTheWholeSession(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("DIR", dir)
	p := startShell(t, `trap "" TERM
sh -c 'echo $$ >"$DIR/1"; exec sleep 300' &
set -m; sh -c 'echo $$ >"$DIR/2"; exec sleep 300' &
sh -c 'trap "" TERM; echo $$ >"$DIR/3"; exec sleep 300'`)
	waitFor(t, "all have started", func() bool {
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		return err == nil && len(files) == 3
	})
	start := time.Now()
	if err := p.Stop(testContext(t), 200*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(start); d < 200*time.Millisecond || d > 3*time.Second {
		t.Errorf("Stop took %v", d)
	}
	for i := 1; i <= 3; i++ {
		b, err := os.ReadFile(filepath.Join(dir, fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
		if err != nil {
			continue // not written yet
		}
		if _, err := identify(pid); !errors.Is(err, errNoProcess) {
			t.Errorf("process %d of the session lives: %v", i, err)
		}
	}
	if e := p.Exit(); e.Signal != "SIGKILL" {
		t.Errorf("exit %+v", e)
	}
}

func TestStopIsQuickWhenAskedNicely(t *testing.T) {
	p := startShell(t, "exec sleep 300")
	start := time.Now()
	if err := p.Stop(testContext(t), 0); err != nil {
		t.Fatal(err)
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("Stop took %v", d)
	}
	if e := p.Exit(); e.Signal != "SIGTERM" {
		t.Errorf("exit %+v", e)
	}
}

func TestStopAStoppedProcess(t *testing.T) {
	p := startShell(t, "exec sleep 300")
	if err := p.Signal("STOP"); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(testContext(t), 0); err != nil {
		t.Fatal(err)
	}
	if e := p.Exit(); e.Signal != "SIGTERM" {
		t.Errorf("exit %+v", e)
	}
}

func TestStopCancelledKills(t *testing.T) {
	p := startShell(t, `trap "" TERM; echo ready; while :; do sleep 0.1; done`)
	waitFor(t, "it ignores SIGTERM", func() bool { return strings.Contains(p.Tail(), "ready") })
	ctx, cancel := context.WithTimeout(testContext(t), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	if err := p.Stop(ctx, 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if d := time.Since(start); d > 3*time.Second || p.Alive() {
		t.Errorf("after %v alive: %v", d, p.Alive())
	}
}

func TestTail(t *testing.T) {
	p := startShell(t, `i=0; while [ $i -lt 5000 ]; do echo "line $i"; i=$((i+1)); done`)
	text := waitExit(t, p).Output
	if n := strings.Count(text, "\n"); n != tailLines || !strings.HasPrefix(text, "line 4900\n") || !strings.HasSuffix(text, "line 4999\n") {
		t.Errorf("%d lines: %.40q", n, text)
	}
	p = startShell(t, `head -c 100000 /dev/zero | tr '\0' x; echo; echo end`)
	if text := waitExit(t, p).Output; text != "end\n" && len(text) > tailBytes {
		t.Errorf("%d bytes", len(text))
	}

	// Output that an earlier process left in the file is not shown.
	out := filepath.Join(t.TempDir(), "out")
	for range 2 {
		p, err := Start(Options{Command: []string{"echo", "once"}, OutputFile: out})
		if err != nil {
			t.Fatal(err)
		}
		if e := waitExit(t, p); e.Output != "once\n" {
			t.Errorf("output %q", e.Output)
		}
	}
}

func TestParseSignal(t *testing.T) {
	for s, want := range map[string]syscall.Signal{"9": 9, "KILL": 9, "sigkill": 9, " INT ": 2, "SIGUSR1": syscall.SIGUSR1} {
		if got, err := ParseSignal(s); err != nil || got != want {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "0", "-1", "99", "NONSENSE", "SIG", "9x"} {
		if got, err := ParseSignal(s); !errors.Is(err, sdk.ErrBadOption) {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
}

func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		p, err := Start(Options{Command: []string{"/bin/true"}})
		if err != nil {
			b.Fatal(err)
		}
		<-p.Done()
	}
}

func BenchmarkStopTogether(b *testing.B) {
	for b.Loop() {
		var g Group
		for range 16 {
			p, err := Start(Options{Command: []string{"/bin/sleep", "300"}})
			if err != nil {
				b.Fatal(err)
			}
			g.Processes = append(g.Processes, p)
		}
		if err := g.Stop(testContext(b)); err != nil {
			b.Fatal(err)
		}
	}
}
