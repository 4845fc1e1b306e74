package controller

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/profile"
)

// cluster is a controller in this process, with engines and clients of real
// Python releases around it.
type cluster struct {
	t      testing.TB
	dir    string // profile directory
	log    *logBuffer
	client string // connection files
	engine string
	stop   func()     // ends the context of Run
	ended  chan error // result of Run
	first  string     // what the next client does before its script
}

// logBuffer keeps a log, to be printed if the test fails.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start runs a controller until the test ends.
func start(t testing.TB, o Options) *cluster {
	t.Helper()
	c := &cluster{t: t, log: &logBuffer{}, ended: make(chan error, 1)}
	if o.Profile.Dir == "" {
		o.Profile = profile.Profile{Dir: t.TempDir()}
	}
	c.dir = o.Profile.Dir
	o.Log = hclog.New(&hclog.LoggerOptions{Output: c.log, Level: hclog.Debug})
	ready := make(chan struct{})
	o.Ready = func(client, engine string) {
		c.client, c.engine = client, engine
		close(ready)
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.stop = cancel
	go func() { c.ended <- Run(ctx, o) }()
	select {
	case <-ready:
	case err := <-c.ended:
		cancel()
		t.Fatalf("controller ended: %v\n%s", err, c.log)
	case <-time.After(10 * time.Second):
		cancel()
		t.Fatalf("controller did not start\n%s", c.log)
	}
	t.Cleanup(func() {
		c.end()
		if t.Failed() {
			t.Logf("controller's log:\n%s", tail(c.log.String()))
		}
	})
	return c
}

// end stops the controller, waits for it and reports how it ended.
func (c *cluster) end() {
	c.t.Helper()
	c.stop()
	c.wait(5 * time.Second)
}

// wait waits for the controller to end.
func (c *cluster) wait(limit time.Duration) {
	c.t.Helper()
	if c.ended == nil {
		return
	}
	select {
	case err := <-c.ended:
		c.ended = nil
		if err != nil {
			c.t.Errorf("controller ended with: %v", err)
		}
	case <-time.After(limit):
		c.t.Fatalf("controller did not end within %v\n%s", limit, c.log)
	}
}

// interpreter is a Python with ipyparallel.
type interpreter struct {
	name string
	path string
}

// pythons returns the interpreters to test with. Each is named by an environment
// variable; the first has a default.
func pythons(t testing.TB) []interpreter {
	t.Helper()
	found := installedPythons()
	if len(found) == 0 {
		t.Skip("no Python with ipyparallel: set IPCORE_TEST_PY71 or IPCORE_TEST_PY91")
	}
	return found
}

// installedPythons tries each interpreter once.
var installedPythons = sync.OnceValue(func() []interpreter {
	list := []interpreter{{"7.1", os.Getenv("IPCORE_TEST_PY71")}, {"9.1", os.Getenv("IPCORE_TEST_PY91")}}
	if list[0].path == "" {
		list[0].path = "/usr/bin/python3"
	}
	var found []interpreter
	for _, p := range list {
		if p.path == "" {
			continue
		}
		if err := exec.Command(p.path, "-c", "import ipyparallel, numpy").Run(); err == nil {
			found = append(found, p)
		}
	}
	return found
})

// engineProcess is a running Python engine.
type engineProcess struct {
	*exec.Cmd
	log  string
	done chan struct{} // closed when it has exited
}

// startEngine starts an engine and kills it at the end of the test.
func (c *cluster) startEngine(p interpreter) *engineProcess {
	c.t.Helper()
	log, err := os.CreateTemp(c.t.TempDir(), "engine-*.log")
	if err != nil {
		c.t.Fatal(err)
	}
	e := &engineProcess{log: log.Name(), done: make(chan struct{})}
	e.Cmd = exec.Command(p.path, "-m", "ipyparallel.engine", "--profile-dir="+c.dir, "--log-level=30")
	e.Stdout, e.Stderr = log, log
	e.Env = append(os.Environ(), "IPYTHONDIR="+filepath.Join(c.dir, "ipython"), "PYTHONDONTWRITEBYTECODE=1")
	ownGroup(e.Cmd)
	if err := e.Start(); err != nil {
		c.t.Fatal(err)
	}
	_ = log.Close()
	go func() {
		_ = e.Wait() // the test checks the engine's end if it matters
		close(e.done)
	}()
	c.t.Cleanup(func() {
		killGroup(e.Cmd)
		<-e.done
		if c.t.Failed() {
			text, err := os.ReadFile(e.log)
			c.t.Logf("engine %d's log (%v):\n%s", e.Process.Pid, err, tail(string(text)))
		}
	})
	return e
}

// startEngines starts n engines.
func (c *cluster) startEngines(p interpreter, n int) []*engineProcess {
	c.t.Helper()
	var list []*engineProcess
	for range n {
		list = append(list, c.startEngine(p))
	}
	return list
}

// preamble begins every client script.
const preamble = `
import sys, os, time, json
import ipyparallel as ipp
from ipyparallel import error
rc = ipp.Client(sys.argv[1], timeout=20)
def until(what, limit=20):
    end = time.monotonic() + limit
    while not what():
        assert time.monotonic() < end, "the condition was not met in time: %s" % rc.ids
        time.sleep(0.005)
def raises(kind, f, *a, **k):
    try:
        f(*a, **k)
    except kind as e:
        return e
    except error.RemoteError as e:
        assert e.ename == kind.__name__, e
        return e
    raise AssertionError("nothing was raised")
`

// run runs a client script to its end and returns its output.
func (c *cluster) run(p interpreter, script string) string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	script = c.first + script
	c.first = ""
	cmd := exec.CommandContext(ctx, p.path, "-W", "ignore", "-c", preamble+script, c.client)
	cmd.Env = append(os.Environ(), "IPYTHONDIR="+filepath.Join(c.dir, "ipython"), "PYTHONDONTWRITEBYTECODE=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		c.t.Fatalf("client: %v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// withEngines runs a test with each Python, at the same time, with a controller and n
// engines.
func withEngines(t *testing.T, n int, o Options, f func(*testing.T, *cluster, interpreter, []*engineProcess)) {
	for _, p := range pythons(t) {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			c := start(t, o)
			engines := c.startEngines(p, n)
			c.first = fmt.Sprintf("until(lambda: len(rc.ids) == %d)\n", n)
			f(t, c, p, engines)
		})
	}
}

// with returns the same cluster for a subtest of the test that started it.
func (c *cluster) with(t testing.TB) *cluster {
	same := *c
	same.t = t
	return &same
}

// tail returns the last lines of a log.
func tail(text string) string {
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}
