//go:build unix

package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/process"
)

// startSet creates the launcher of a set as the sdk does, and starts n shell scripts.
func startSet(ctx context.Context, t *testing.T, n int, options, script string) (*Set, chan sdk.Change, error) {
	t.Helper()
	changes := make(chan sdk.Change, 100)
	s := newSet(sdk.Host{Log: hclog.NewNullLogger(), Changed: func(c sdk.Change) { changes <- c }})
	t.Cleanup(func() {
		killed, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.Stop(killed) // ended already in good cases
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	err := s.Start(ctx, sdk.StartRequest{
		ID: "set", N: &n, ProfileDir: t.TempDir(), ClusterID: "c", LogDir: t.TempDir(),
		Command: []string{"/bin/sh", "-c", script}, Options: []byte(options),
	})
	return s, changes, err
}

func setState(t *testing.T, s *Set) state {
	t.Helper()
	raw, err := s.ToDict(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var st state
	if err := json.Unmarshal(raw, &st); err != nil {
		t.Fatal(err)
	}
	return st
}

// The state has IPython Parallel's keys.
func TestStateForm(t *testing.T) {
	s, _, err := startSet(t.Context(), t, 2, "", "exec sleep 300")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := s.ToDict(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var form map[string]any
	if err := json.Unmarshal(raw, &form); err != nil {
		t.Fatal(err)
	}
	if form["pid"] != -1.0 || form["n"] != 2.0 || form["state"] != "running" || form["cluster_id"] != "c" || form["profile_dir"] == "" || form["version"] != 1.0 {
		t.Errorf("set: %s", raw)
	}
	one, ok := form["engines"].(map[string]any)["1"].(map[string]any)
	if !ok || one["n"] != 1.0 || one["state"] != "running" || one["create_time"] == nil || !strings.HasSuffix(fmt.Sprint(one["output_file"]), "/ipengine-c-set-1.log") {
		t.Errorf("engine 1: %v", one)
	}

	c := New(sdk.Controller, sdk.Host{}).(*Process)
	for id, name := range map[string]string{"": "ipcontroller-%d.log", "x": "ipcontroller-x-%d.log"} {
		if err := c.Start(t.Context(), sdk.StartRequest{ClusterID: id, LogDir: t.TempDir(), Command: []string{"true"}}); err != nil {
			t.Fatal(err)
		}
		if got, want := filepath.Base(c.state().OutputFile), fmt.Sprintf(name, os.Getpid()); got != want {
			t.Errorf("log %s, want %s", got, want)
		}
		if _, err := c.Wait(t.Context()); err != nil {
			t.Error(err)
		}
	}
	e := New(sdk.SingleEngine, sdk.Host{}).(*Process)
	if err := e.Start(t.Context(), sdk.StartRequest{ID: "5", LogDir: t.TempDir(), Command: []string{"true"}}); err != nil {
		t.Fatal(err)
	}
	if got := filepath.Base(e.state().OutputFile); got != "ipengine--5-0.log" {
		t.Errorf("log of the empty cluster id: %s", got)
	}
	if err := e.Start(t.Context(), sdk.StartRequest{ID: "../5", LogDir: t.TempDir(), Command: []string{"true"}}); !errors.Is(err, sdk.ErrBadOption) {
		t.Errorf("an id that leaves the folder: %v", err)
	}
}

// A state that IPython Parallel wrote has no version and no create time.
func TestUpstreamState(t *testing.T) {
	s, _, err := startSet(t.Context(), t, 2, "", "exec sleep 300")
	if err != nil {
		t.Fatal(err)
	}
	st := setState(t, s)
	given := fmt.Sprintf(`{"cluster_id": "c", "profile_dir": "/p", "state": "running", "pid": -1, "n": 3, "engines": {
		"0": {"cluster_id": "c", "profile_dir": "/p", "state": "running", "pid": %d, "output_file": "/o", "n": 1},
		"1": {"state": "running", "pid": %d}, "2": {"state": "running", "pid": 4194303}}}`,
		st.Engines["0"].PID, st.Engines["1"].PID)
	again := newSet(sdk.Host{Log: hclog.NewNullLogger(), Changed: func(sdk.Change) {}})
	if err := again.FromDict(t.Context(), sdk.State(given)); err != nil {
		t.Fatal(err)
	}
	if got := setState(t, again); got.N != 2 || len(got.Engines) != 2 {
		t.Errorf("restored %+v", got)
	}
	if err := again.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := s.Wait(t.Context()); err != nil {
		t.Error(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	newer := newSet(sdk.Host{})
	if err := newer.FromDict(t.Context(), sdk.State(`{"version": 99}`)); !errors.Is(err, sdk.ErrBadOption) {
		t.Errorf("a newer state: %v", err)
	}
}

// Each engine that ends is reported with its index, exit code and last output; the set
// has ended when all engines have.
func TestEnginesEndOneByOne(t *testing.T) {
	s, changes, err := startSet(t.Context(), t, 3, "", "exec sleep 300")
	if err != nil {
		t.Fatal(err)
	}
	st := setState(t, s)
	for left, i := range []int{1, 0, 2} {
		if err := syscall.Kill(st.Engines[fmt.Sprint(i)].PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if c := <-changes; c.Index != i || c.Exit.Signal != "SIGKILL" || c.Exit.Code != -1 {
			t.Errorf("engine %d: reported %+v", i, c)
		}
		if now := setState(t, s); left < 2 && now.N != 2-left {
			t.Errorf("after %d ends: %+v", left+1, now)
		}
	}
	if exit, err := s.Wait(t.Context()); err != nil || exit.Signal != "SIGKILL" {
		t.Errorf("the set: %+v, %v", exit, err)
	}
	if err := s.Signal(t.Context(), "TERM"); !errors.Is(err, sdk.ErrProcessState) {
		t.Errorf("Signal after the end: %v", err)
	}
}

func TestLastOutput(t *testing.T) {
	s, changes, err := startSet(t.Context(), t, 1, "", "echo the reason >&2; exit 4")
	if err != nil {
		t.Fatal(err)
	}
	if c := <-changes; c.Exit.Code != 4 || c.Exit.Output != "the reason\n" {
		t.Errorf("reported %+v", c)
	}
	if exit, err := s.Wait(t.Context()); err != nil || exit.Code != 4 {
		t.Errorf("the set: %+v, %v", exit, err)
	}
}

func TestDelay(t *testing.T) {
	start := time.Now()
	s, _, err := startSet(t.Context(), t, 3, `{"delay": 0.05}`, "exec sleep 300")
	if d := time.Since(start); err != nil || d < 100*time.Millisecond {
		t.Errorf("after %v: %v", d, err)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{`{"delay": -1}`, `{"delay": 1e99}`, `{"delay": "soon"}`, `{"stop_seconds_until_kill": 0}`} {
		if _, _, err := startSet(t.Context(), t, 1, bad, "exit"); !errors.Is(err, sdk.ErrBadOption) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// By default engines are started at once, and killed five seconds after they were asked
// to end.
func TestDefaults(t *testing.T) {
	o, err := readOptions(sdk.StartRequest{})
	if err != nil || o.Delay != 0 || o.Grace != nil || process.DefaultGrace != 5*time.Second {
		t.Errorf("%+v, %v; grace %v", o, err, process.DefaultGrace)
	}
	for name, want := range map[string]string{"delay": "0", "stop_seconds_until_kill": "5"} {
		if option, ok := Info().Option(name); !ok || string(option.Default) != want {
			t.Errorf("%s is described as %+v", name, option)
		}
	}
}

// Engines that have to be killed are waited for together, not one after the other.
func TestStopTogether(t *testing.T) {
	const n = 10
	s, _, err := startSet(t.Context(), t, n, `{"stop_seconds_until_kill": 0.5}`, `trap "" TERM; echo deaf; while :; do sleep 0.05; done`)
	if err != nil {
		t.Fatal(err)
	}
	for limit := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		text, err := s.Output(t.Context(), false)
		if err == nil && strings.Count(text, "deaf\n") == n {
			break
		}
		if time.Now().After(limit) {
			t.Fatalf("output %q, %v", text, err)
		}
	}
	began := time.Now()
	if err := s.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took < 500*time.Millisecond || took > 4*time.Second {
		t.Errorf("the stop of %d engines took %v, one after the other it is %v", n, took, n*500*time.Millisecond)
	}
}

// A start that is cut short leaves nothing.
func TestStartCutShort(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond) // all would take a second
	defer cancel()
	s, _, err := startSet(ctx, t, 100, `{"delay": 0.01}`, "trap '' TERM; sleep 300")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if len(s.engines) == 0 {
		t.Error("it started none before it was cut short")
	}
	for i, e := range s.engines {
		if e.p.Alive() {
			t.Errorf("engine %d is alive", i)
		}
	}
}
