//go:build unix

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// start starts a program in its own process group, which ends with the test. Its
// output goes to a file.
func start(t *testing.T, log string, program string, args ...string) *exec.Cmd {
	t.Helper()
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	c := exec.Command(program, args...)
	c.Stdout, c.Stderr = out, out
	c.Env = append(os.Environ(), "IPCORE_PYTHON="+restorePython())
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) // it may have ended
		_ = c.Wait()
		if t.Failed() {
			text, err := os.ReadFile(log)
			t.Logf("%s (%v):\n%s", log, err, text)
		}
	})
	return c
}

// restorePython is the interpreter of engines and client.
func restorePython() string {
	if p := os.Getenv("IPCORE_TEST_PY71"); p != "" {
		return p
	}
	return "/usr/bin/python3"
}

// restoreClient stays connected while the controller dies: it prints "ready" before
// that, and continues when its input says that another controller runs.
const restoreClient = `
import sys, time
import ipyparallel as ipp
rc = ipp.Client(sys.argv[1], timeout=20)
end = time.monotonic() + 20
while len(rc.ids) < 2:
    assert time.monotonic() < end, rc.ids
    time.sleep(0.01)
rc[:].push({'a': 3}, block=True)
lb = rc.load_balanced_view()
assert lb.map_sync(lambda x: x * x, range(20)) == [x * x for x in range(20)]
print('ready', flush=True)
sys.stdin.readline()
# A request that is sent before an engine has returned gets an error.
end = time.monotonic() + 20
while True:
    try:
        got = rc[:].pull('a').get(5)
        break
    except Exception as e:
        assert time.monotonic() < end, e
        time.sleep(0.05)
assert got == [3, 3], got
assert lb.map_async(lambda x: x * a, range(50)).get(20) == [3 * x for x in range(50)]
assert rc.ids == [0, 1], rc.ids
assert sorted(k for k in rc.queue_status() if isinstance(k, int)) == [0, 1]
print('done', flush=True)
`

// TestRestore kills the controller of running native engines and a Python client. The
// next controller takes over, and both continue.
func TestRestore(t *testing.T) {
	python := restorePython()
	if err := exec.Command(python, "-c", "import ipyparallel").Run(); err != nil {
		t.Skip("no Python with ipyparallel: set IPCORE_TEST_PY71")
	}
	dir := t.TempDir()
	program, profile := filepath.Join(bin, "ipcore"), "--profile-dir="+dir
	file := filepath.Join(dir, "security", "ipcontroller-client.json")
	log := filepath.Join(dir, "controller.log")
	// The client's file is written last.
	written := func(times int) {
		t.Helper()
		for limit := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			text, err := os.ReadFile(log)
			if err == nil && strings.Count(string(text), "writing connection info to "+file) == times {
				if _, err := os.Stat(file); err == nil {
					return
				}
			}
			if time.Now().After(limit) {
				t.Fatalf("controller %d did not start", times)
			}
		}
	}
	first := start(t, log, program, "controller", profile, "--restore")
	written(1)
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		start(t, filepath.Join(dir, fmt.Sprint("engine", i)), program, "engine", profile)
	}
	client := exec.Command(python, "-W", "ignore", "-c", restoreClient, file)
	client.Env = append(os.Environ(), "IPYTHONDIR="+dir)
	var complaints strings.Builder
	client.Stderr = &complaints
	in, err := client.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := client.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	// Killing a client that hangs ends the reading below.
	guard := time.AfterFunc(time.Minute, func() { _ = client.Process.Kill() })
	defer guard.Stop()
	lines := bufio.NewReader(out)
	expect := func(want string) {
		t.Helper()
		if line, err := lines.ReadString('\n'); strings.TrimSpace(line) != want {
			_ = client.Process.Kill()
			_ = client.Wait()
			t.Fatalf("the client printed %q (%v), want %q\n%s", line, err, want, complaints.String())
		}
	}
	expect("ready")
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait() // killed
	start(t, log, program, "controller", profile, "--restore")
	written(2)
	after, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(before) != string(after) {
		t.Errorf("the client file was\n%s\nis\n%s", before, after)
	}
	if _, err := io.WriteString(in, "continue\n"); err != nil {
		t.Fatal(err)
	}
	expect("done")
	if err := client.Wait(); err != nil {
		t.Errorf("client: %v\n%s", err, complaints.String())
	}
}
