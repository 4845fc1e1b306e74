//go:build unix

package cluster

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ipcore/ipcore/core/launch/clusterfile"
	"github.com/ipcore/ipcore/core/launch/registry"
	"github.com/ipcore/ipcore/sdk/process"
)

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	t.Cleanup(cancel)
	return ctx
}

func TestStartStop(t *testing.T) {
	o := testOptions(t)
	c := startCluster(t, o)
	r, err := clusterfile.ReadRecord(c.file)
	if err != nil {
		t.Fatal(err)
	}
	if r.Controller == nil || len(r.Engines.Sets) != 1 || len(r.Extension.Starting) != 0 || r.Engines.Class != "local" {
		t.Errorf("the cluster file says %+v", r)
	}
	for id, n := range r.Extension.Alive {
		if n != 2 || len(r.Engines.Sets[id]) == 0 {
			t.Errorf("set %s: %d alive, state %s", id, n, r.Engines.Sets[id])
		}
	}
	if got := len(processesOf(t, o.Profile.Dir)); got != 3 {
		t.Errorf("%d processes, want 3", got)
	}

	again, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	var running *RunningError
	if err := again.Start(testContext(t)); !errors.As(err, &running) || running.Supervisor == nil || running.Supervisor.PID != os.Getpid() {
		t.Errorf("a second start: %v", err)
	}

	began := time.Now()
	if err := c.Stop(testContext(t)); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("the stop took %v", took)
	}
	nothingLeft(t, o.Profile)
	var missing *NotFoundError
	if _, err := Stop(testContext(t), c.file, o.Log); !errors.As(err, &missing) {
		t.Errorf("a second stop: %v", err)
	}
}

func TestFailedStarts(t *testing.T) {
	fail := shell(`echo "first line"; echo "boom" >&2; exit 3`)
	never := func(ctx context.Context, _ string, _ int, _ func(int)) error { <-ctx.Done(); return ctx.Err() }
	for name, test := range map[string]struct {
		change func(*Options)
		want   []string
	}{
		"controller": {func(o *Options) { o.ControllerCommand = fail }, []string{"the controller ended before it was ready", "exit code 3", "boom"}},
		"engines":    {func(o *Options) { o.EngineCommand, o.view = fail, fakeView{wait: never} }, []string{"all 2 engines ended", "exit code 3", "boom"}},
		"no controller file": {func(o *Options) {
			o.ControllerCommand, o.Timeout = shell("exec sleep 1000"), 200*time.Millisecond
		}, []string{"no connection files within 200ms"}},
		"never registered": {func(o *Options) {
			o.EngineCommand, o.view, o.Timeout = shell("echo waiting; exec sleep 1000"), fakeView{wait: never}, 500*time.Millisecond
		}, []string{"none of 2 engines has registered within 500ms", "waiting"}},
		"no such program":  {func(o *Options) { o.EngineCommand = []string{"/nonexistent/engine"} }, []string{"start the engines", "/nonexistent/engine"}},
		"no such launcher": {func(o *Options) { o.Engines = "nonesuch" }, []string{"launcher of the engine", "nonesuch", "local"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := testOptions(t)
			test.change(&o)
			c, err := New(o)
			if err != nil {
				t.Fatal(err)
			}
			err = c.Start(testContext(t))
			if err == nil {
				t.Fatal("it started")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in the error: %v", want, err)
				}
			}
			nothingLeft(t, o.Profile)
		})
	}
}

func TestContinueWithFewerEngines(t *testing.T) {
	o := testOptions(t)
	// One of the two engines ends at once.
	o.EngineCommand = shell(`mkdir "$IPP_PROFILE_DIR/first" 2>/dev/null && { echo unlucky; exit 4; }; exec sleep 1000`)
	o.view = fakeView{wait: func(ctx context.Context, _ string, _ int, have func(int)) error {
		have(1)
		<-ctx.Done()
		return ctx.Err()
	}}
	var notes []string
	o.Progress = func(p Progress) {
		if p.Stage == StageNote {
			notes = append(notes, p.Note)
		}
	}
	c := startCluster(t, o)
	if len(notes) != 1 || !strings.Contains(notes[0], "1 of 2") || !strings.Contains(notes[0], "exit code 4") || !strings.Contains(notes[0], "unlucky") {
		t.Errorf("the notes are %q", notes)
	}
	s, err := Inspect(testContext(t), c.file, o.Log)
	if err != nil || s.Alive != 1 || !s.Controller || !s.Supervised {
		t.Errorf("inspected: %+v, %v", s, err)
	}
}

// TestStopKills stops engines that ignore SIGTERM.
func TestStopKills(t *testing.T) {
	o := testOptions(t)
	o.EngineCommand = shell(`trap "" TERM; while :; do sleep 0.05; done`)
	c := startCluster(t, o)
	began := time.Now()
	if err := c.Stop(testContext(t)); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took < killDelay || took > killDelay+1500*time.Millisecond {
		t.Errorf("the stop took %v", took)
	}
	nothingLeft(t, o.Profile)
}

func TestInterruptedStart(t *testing.T) {
	o := testOptions(t)
	o.ControllerCommand = shell("exec sleep 1000")
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(testContext(t))
	o.Progress = nil
	go func() {
		for len(processesOf(t, o.Profile.Dir)) == 0 && ctx.Err() == nil {
			time.Sleep(5 * time.Millisecond)
		}
		cancel()
	}()
	if err := c.Start(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	nothingLeft(t, o.Profile)
}

func TestConcurrentStarts(t *testing.T) {
	o := testOptions(t)
	const n = 4
	results := make(chan error, n)
	for range n {
		go func() {
			c, err := New(o)
			if err == nil {
				err = c.Start(testContext(t))
			}
			if err == nil {
				t.Cleanup(func() { _ = c.Stop(testContext(t)) })
			}
			results <- err
		}()
	}
	won := 0
	for range n {
		err := <-results
		var running *RunningError
		switch {
		case err == nil:
			won++
		case !errors.As(err, &running):
			t.Error(err)
		}
	}
	if won != 1 || len(processesOf(t, o.Profile.Dir)) != 3 {
		t.Errorf("%d of %d starts succeeded; processes: %q", won, n, processesOf(t, o.Profile.Dir))
	}
}

// abandon closes a cluster and changes its file so that the supervisor seems to have died.
func abandon(t *testing.T, c *Cluster) {
	t.Helper()
	c.Close()
	r, err := clusterfile.ReadRecord(c.file)
	if err != nil {
		t.Fatal(err)
	}
	r.Extension.Supervisor.CreateTime -= 10000
	if err := r.Write(c.file); err != nil {
		t.Fatal(err)
	}
}

func TestSupervisorDied(t *testing.T) {
	o := testOptions(t)
	c := startCluster(t, o)
	abandon(t, c)
	s, err := Inspect(testContext(t), c.file, o.Log)
	if err != nil || s.Supervised || !s.Controller || s.Alive != 2 || s.Err != nil {
		t.Errorf("inspected: %+v, %v", s, err)
	}
	again, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	var running *RunningError
	if err := again.Start(testContext(t)); !errors.As(err, &running) || running.Supervisor != nil {
		t.Errorf("a start while the cluster without a supervisor is running: %v", err)
	}
	if got := len(processesOf(t, o.Profile.Dir)); got != 3 {
		t.Errorf("%d processes, want 3", got)
	}
	if _, err := Stop(testContext(t), c.file, o.Log); err != nil {
		t.Error(err)
	}
	nothingLeft(t, o.Profile)
}

// TestEngineDiesUnsupervised inspects a cluster after an engine has died while there was no
// supervisor.
func TestEngineDiesUnsupervised(t *testing.T) {
	o := testOptions(t)
	c := startCluster(t, o)
	pid := enginePID(t, c)
	abandon(t, c)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the dead engine is noticed", func() bool {
		s, err := Inspect(testContext(t), c.file, o.Log)
		return err == nil && s.Alive == 1 && s.Controller
	})
}

// TestMissingLauncher stops a cluster while the engines' launcher is missing, which stops
// only the controller, and again after the launcher is back.
func TestMissingLauncher(t *testing.T) {
	o := testOptions(t)
	folder := filepath.Join(t.TempDir(), "bin")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(os.Getenv("IPCORE_LAUNCHER_PATH"), "ipcore-launcher-local"))
	if err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(folder, "ipcore-launcher-own")
	if err := os.WriteFile(own, text, 0o700); err != nil {
		t.Fatal(err)
	}
	o.Engines = own
	c := startCluster(t, o)
	abandon(t, c)
	if err := os.Rename(own, own+".away"); err != nil {
		t.Fatal(err)
	}
	if _, err := Stop(testContext(t), c.file, o.Log); !errors.Is(err, ErrLeftover) || !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("a stop without the launcher: %v", err)
	}
	if got := len(processesOf(t, o.Profile.Dir)); got != 2 {
		t.Errorf("%d processes, want the 2 engines", got)
	}
	if err := os.Rename(own+".away", own); err != nil {
		t.Fatal(err)
	}
	if _, err := Stop(testContext(t), c.file, o.Log); err != nil {
		t.Error(err)
	}
	nothingLeft(t, o.Profile)
}

// TestStartReplacesEndedCluster starts a cluster although there is the file of one that has
// ended.
func TestStartReplacesEndedCluster(t *testing.T) {
	o := testOptions(t)
	c := startCluster(t, o)
	abandon(t, c)
	if err := c.killAll(t); err != nil {
		t.Fatal(err)
	}
	s, err := Inspect(testContext(t), c.file, o.Log)
	if err != nil || s.Running() {
		t.Errorf("inspected: %+v, %v", s, err)
	}
	startCluster(t, o)
}

// killAll kills the processes of a cluster, without updating its file.
func (c *Cluster) killAll(t *testing.T) error {
	t.Helper()
	left, err := Load(c.file, LoadOptions{Log: c.log})
	if err != nil {
		return err
	}
	if err := left.Adopt(testContext(t)); err != nil {
		return err
	}
	err = left.Kill(testContext(t))
	for _, w := range left.workloads() {
		<-w.ended
	}
	left.Close()
	return err
}

func TestPluginKilled(t *testing.T) {
	o := testOptions(t)
	c := startCluster(t, o)
	process := c.controller.process
	process.mu.Lock()
	old := process.plugin
	process.mu.Unlock()
	if err := syscall.Kill(old.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-old.Done()
	attached := func(w *workload) bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.plugin != old
	}
	eventually(t, "a new plugin process takes over", func() bool { return attached(c.controller) && attached(c.engines[0]) })
	if got := len(processesOf(t, o.Profile.Dir)); got != 3 {
		t.Errorf("%d processes, want 3", got)
	}
	if err := c.Stop(testContext(t)); err != nil {
		t.Error(err)
	}
	nothingLeft(t, o.Profile)
}

func TestEngineKilled(t *testing.T) {
	o := testOptions(t)
	c := startCluster(t, o)
	if err := syscall.Kill(enginePID(t, c), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the file counts one engine less", func() bool {
		s, err := Inspect(testContext(t), c.file, o.Log)
		return err == nil && s.Alive == 1
	})
	abandon(t, c)
	if s, err := Inspect(testContext(t), c.file, o.Log); err != nil || s.Alive != 1 {
		t.Errorf("inspected: %+v, %v", s, err)
	}
}

func TestSupervise(t *testing.T) {
	for name, test := range map[string]struct {
		script string // what the controller does once everything runs
		want   string
	}{
		"orderly": {"exit 0", ""},
		"died":    {"echo oh no; exit 5", "the controller ended unexpectedly: exit code 5"},
	} {
		t.Run(name, func(t *testing.T) {
			o := testOptions(t)
			o.ControllerCommand = shell(strings.Replace(fakeController, "exec sleep 1000", `while [ ! -e "$IPP_PROFILE_DIR/go" ]; do sleep 0.01; done; `+test.script, 1))
			c := startCluster(t, o)
			done := make(chan error, 1)
			go func() { done <- c.Supervise(testContext(t)) }()
			if name == "orderly" { // a client has told the engines to end as well
				if err := c.engines[0].kill(testContext(t)); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(o.Profile.Dir+"/go", nil, 0o600); err != nil {
				t.Fatal(err)
			}
			err := <-done
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "oh no")) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			nothingLeft(t, o.Profile)
		})
	}
}

// enginePID returns the pid of an engine of the first set.
func enginePID(t *testing.T, c *Cluster) int {
	t.Helper()
	state, _ := c.engines[0].snapshot()
	var set struct {
		Engines map[string]process.State `json:"engines"`
	}
	if err := state.Decode(&set); err != nil {
		t.Fatal(err)
	}
	for _, e := range set.Engines {
		return e.PID
	}
	t.Fatal("the set has no engine")
	return 0
}
