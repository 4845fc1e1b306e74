//go:build unix

package batch

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/sdk"
)

// changeLog collects the changes that a launcher reported.
type changeLog struct {
	mu  sync.Mutex
	all []sdk.Change
}

func (s *changeLog) add(c sdk.Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, c)
}

func (s *changeLog) has(f func(sdk.Change) bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.all, f)
}

// newLauncher creates a launcher as the sdk does.
func newLauncher(t *testing.T, make sdk.Factory, kind sdk.Kind) (signaling, *changeLog) {
	t.Helper()
	log := &changeLog{}
	l := make(kind, sdk.Host{Log: hclog.NewNullLogger(), Changed: log.add}).(signaling)
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l, log
}

func waitFor(t *testing.T, what string, f func() bool) {
	t.Helper()
	for limit := time.Now().Add(30 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("timed out waiting for: %s", what)
		}
	}
}

func (l signaling) counts(ctx context.Context) (string, int) {
	st, err := l.Status(ctx)
	if err != nil {
		return err.Error(), -1
	}
	return st.State, *st.Running
}

// When one element is ended from outside, the others keep running, and the end is reported
// with its reason.
func TestElementEnds(t *testing.T) {
	dir := toyDir(t)
	l, log := newLauncher(t, toySystem().New(), sdk.Engine)
	if err := l.Start(t.Context(), request(t, 3, "", "/bin/sh", "-c", `echo "I am $TOY_INDEX"; exec sleep 300`)); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "3 run", func() bool { _, n := l.counts(t.Context()); return n == 3 })
	waitFor(t, "3 have written output", func() bool {
		text, err := l.Output(t.Context(), false)
		return err == nil && strings.Count(text, "I am ") == 3
	})
	if code := runToy(t, dir, "delete", l.job.id+".2"); code != 0 {
		t.Fatal(code)
	}
	waitFor(t, "the end of engine 1 is reported", func() bool {
		return log.has(func(c sdk.Change) bool {
			return c.Index == 1 && c.Exit.Reason == "cancelled" && strings.Contains(c.Exit.Output, "I am 2\n") && strings.Contains(c.Exit.Output, "Toy job "+l.job.id+".2: cancelled")
		})
	})
	if state, n := l.counts(t.Context()); state != sdk.StatusRunning || n != 2 {
		t.Errorf("%s, %d run", state, n)
	}
	if text, err := l.Output(t.Context(), true); err != nil || !strings.Contains(text, "engine 0:\nI am 1\n") {
		t.Errorf("output %q, %v", text, err)
	}
	if err := l.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if exit, err := l.Wait(t.Context()); err != nil || exit.Code != -1 {
		t.Errorf("%+v, %v", exit, err)
	}
	if log.has(func(c sdk.Change) bool { return c.Index != 1 }) {
		t.Errorf("Stop was reported as ends of engines: %+v", log.all)
	}
}

// Start returns when the system has accepted the job. A job that is queued is watched,
// found again and stopped as one that runs.
func TestQueued(t *testing.T) {
	dir := toyDir(t)
	setFault(t, dir, "submit=pend")
	create := toySystem().New()
	l, log := newLauncher(t, create, sdk.Engine)
	if err := l.Start(t.Context(), request(t, 2, "", "sleep", "300")); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the reason", func() bool {
		st, err := l.Status(t.Context())
		return err == nil && st.State == sdk.StatusPending && *st.Running == 0 && *st.Pending == 2 && strings.Contains(st.Text, "Resources")
	})
	state, err := l.ToDict(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	again, _ := newLauncher(t, create, sdk.Engine)
	if err := again.FromDict(t.Context(), state); err != nil {
		t.Errorf("FromDict: %v", err)
	}
	if err := again.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if exit, err := l.Wait(t.Context()); err != nil || exit.Reason != "cancelled" {
		t.Errorf("%+v, %v", exit, err)
	}
	waitFor(t, "the ends of both are reported", func() bool {
		return log.has(func(c sdk.Change) bool { return c.Index == 0 }) && log.has(func(c sdk.Change) bool { return c.Index == 1 })
	})
}

// runToy runs a command of the toy and returns its exit code.
func runToy(t *testing.T, _ string, verb string, args ...string) int {
	t.Helper()
	s := toySystem()
	_, _, err := s.run(t.Context(), command{words: append([]string{s.Submit[0], "toy", verb}, args...), limit: time.Minute})
	if f, ok := errors.AsType[*commandError](err); ok {
		return f.code
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0
}

// A system that does not answer, or answers nonsense, does not end a job.
func TestOutage(t *testing.T) {
	for _, fault := range []string{"all=down", "query=garbage lookup=down", "query=empty lookup=down", "query=empty lookup=empty"} {
		t.Run(fault, func(t *testing.T) {
			dir := toyDir(t)
			create := toySystem().New()
			l, log := newLauncher(t, create, sdk.Engine)
			if err := l.Start(t.Context(), request(t, 2, "", "sleep", "300")); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "2 run", func() bool { _, n := l.counts(t.Context()); return n == 2 })
			setFault(t, dir, fault)
			silent := strings.HasPrefix(fault, "query=empty")
			before := calls(t, dir, "query")
			if silent {
				waitFor(t, "it was queried often", func() bool { return calls(t, dir, "query") > before+10 })
			} else {
				waitFor(t, "the outage is reported", func() bool {
					return log.has(func(c sdk.Change) bool { return strings.Contains(c.Text, "Toy can't be queried") })
				})
				if _, err := l.Status(t.Context()); !errors.Is(err, sdk.ErrUnknownStatus) {
					t.Errorf("Status: %v", err)
				}
			}
			state, err := l.ToDict(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			again, _ := newLauncher(t, create, sdk.Engine)
			if err := again.FromDict(t.Context(), state); !errors.Is(err, sdk.ErrUnknownStatus) {
				t.Errorf("FromDict: %v", err)
			}
			if l.job.hasEnded() {
				t.Fatal("the outage was mistaken for the end")
			}
			setFault(t, dir, "")
			if !silent {
				waitFor(t, "the end of the outage is reported", func() bool {
					return log.has(func(c sdk.Change) bool { return c.Text == "Toy can be queried again" })
				})
			}
			waitFor(t, "2 run again", func() bool { _, n := l.counts(t.Context()); return n == 2 })
			if err := l.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// A submission that fails leaves no job and no script, whatever the reason.
func TestSubmissionFails(t *testing.T) {
	for fault, want := range map[string]struct {
		kind error
		text string
	}{
		"submit=refused": {sdk.ErrBadOption, "unknown queue"},
		"all=down":       {sdk.ErrUnknownStatus, "cannot reach the server"},
		"submit=noid":    {sdk.ErrUnknownStatus, "no job id"},
		"submit=timeout": {sdk.ErrUnknownStatus, "did not accept the job"},
		"submit=hang":    {sdk.ErrUnknownStatus, "no answer within 1s"},
	} {
		t.Run(fault, func(t *testing.T) {
			dir := toyDir(t)
			setFault(t, dir, fault)
			l, _ := newLauncher(t, toySystem().New(), sdk.Engine)
			options := ""
			if fault == "submit=hang" {
				options = `{"command_timeout": 1}`
			}
			r := request(t, 2, options, "sleep", "300")
			err := l.Start(t.Context(), r)
			if !errors.Is(err, want.kind) || !strings.Contains(err.Error(), want.text) {
				t.Errorf("got %v", err)
			}
			for _, j := range toyJobs(dir, "") {
				if state, _ := j.state(); !state.Ended() {
					t.Errorf("job %s.%s is %s", j.id, j.index, state)
				}
			}
			if left, err := filepath.Glob(filepath.Join(r.LogDir, "*.toy*")); err != nil || len(left) > 0 {
				t.Errorf("left %v, %v", left, err)
			}
		})
	}
}

// Text that a site prints before the id is not mistaken for the id.
func TestBanner(t *testing.T) {
	dir := toyDir(t)
	setFault(t, dir, "submit=banner")
	l, _ := newLauncher(t, toySystem().New(), sdk.Controller)
	if err := l.Start(t.Context(), request(t, 0, "", "sleep", "300")); err != nil || l.job.id != "1" {
		t.Fatal(err)
	}
	if err := l.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// All launchers of a plugin share their queries.
func TestSharedQueries(t *testing.T) {
	dir := toyDir(t)
	s := toySystem()
	s.tick = 200 * time.Millisecond
	create := s.New()
	var all []signaling
	for range 5 {
		l, _ := newLauncher(t, create, sdk.Controller)
		if err := l.Start(t.Context(), request(t, 0, "", "sleep", "300")); err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
	began, before := time.Now(), calls(t, dir, "query")
	waitFor(t, "some queries", func() bool { return calls(t, dir, "query") >= before+4 })
	if took := time.Since(began); took < 3*s.tick/2 {
		t.Errorf("4 queries in %v, at an interval of %v", took, s.tick)
	}
	text, err := os.ReadFile(dir + "/calls")
	if err != nil || !strings.Contains(string(text), "query 1,2,3,4,5\n") {
		t.Errorf("no query has all five jobs: %v\n%s", err, text)
	}
	var stops sync.WaitGroup
	for _, l := range all {
		stops.Go(func() {
			if err := l.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	stops.Wait()
	if err := all[0].Stop(t.Context()); err != nil {
		t.Errorf("Stop again: %v", err)
	}
}

// Stop tries until the system has ended the job, and its error says when it has not.
func TestStopIgnored(t *testing.T) {
	dir := toyDir(t)
	l, _ := newLauncher(t, toySystem().New(), sdk.Controller)
	if err := l.Start(t.Context(), request(t, 0, "", "sleep", "300")); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "it runs", func() bool { _, n := l.counts(t.Context()); return n == 1 })
	setFault(t, dir, "delete=ignored")
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := l.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "Toy still has job 1: running") {
		t.Errorf("Stop: %v", err)
	}
	setFault(t, dir, "delete=down")
	ctx, cancel = context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := l.Stop(ctx); err == nil || !strings.Contains(err.Error(), "Toy still has job 1: running (") || !strings.Contains(err.Error(), "cannot reach the server") {
		t.Errorf("Stop while the system is down: %v", err)
	}
	setFault(t, dir, "")
	if err := l.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// A state finds its job, and not another one with its number.
func TestRestoreStates(t *testing.T) {
	dir := toyDir(t)
	create := toySystem().New()
	l, _ := newLauncher(t, create, sdk.Engine)
	if err := l.Start(t.Context(), request(t, 2, `{"poll_interval": 2, "environment": {"SECRET": "x"}}`, "sleep", "300")); err != nil {
		t.Fatal(err)
	}
	raw, err := l.ToDict(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(raw), "SECRET") {
		t.Errorf("the state contains the job's environment: %s", raw)
	}
	changed := func(change func(map[string]any)) error {
		var st map[string]any
		if err := json.Unmarshal(raw, &st); err != nil {
			t.Fatal(err)
		}
		change(st)
		text, err := json.Marshal(st)
		if err != nil {
			t.Fatal(err)
		}
		again, _ := newLauncher(t, create, sdk.Engine)
		return again.FromDict(t.Context(), text)
	}
	for name, c := range map[string]struct {
		change func(map[string]any)
		want   error
	}{
		"the same":       {func(map[string]any) {}, nil},
		"upstream's":     {func(st map[string]any) { delete(st, "version"); delete(st, "job_name"); delete(st, "layout") }, nil},
		"another's job":  {func(st map[string]any) { st["job_name"] = "ipcore-another_set" }, sdk.ErrNotRunning},
		"an unknown job": {func(st map[string]any) { st["job_id"] = "999" }, sdk.ErrNotRunning},
		"no job":         {func(st map[string]any) { delete(st, "job_id") }, sdk.ErrBadOption},
		"an option":      {func(st map[string]any) { st["job_id"] = "--all" }, sdk.ErrBadOption},
		"newer":          {func(st map[string]any) { st["version"] = 99 }, sdk.ErrBadOption},
	} {
		if err := changed(c.change); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if code := runToy(t, dir, "delete", "1"); code != 0 {
		t.Fatal(code)
	}
	waitFor(t, "it has ended", l.job.hasEnded)
	if err := changed(func(map[string]any) {}); !errors.Is(err, sdk.ErrNotRunning) {
		t.Errorf("after the end: %v", err)
	}
}

// Jobs with a tag are found and removed by another process.
func TestOrphans(t *testing.T) {
	toyDir(t)
	for _, tag := range []string{"ipcore-aaaa-1", "ipcore-bbbb-1"} {
		l, _ := newLauncher(t, toySystem().New(), sdk.Engine)
		r := request(t, 2, "", "sleep", "300")
		r.Tag = tag
		if err := l.Start(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	l, _ := newLauncher(t, toySystem().New(), sdk.Engine)
	q := sdk.OrphanQuery{Tag: "ipcore-aaaa"}
	found, err := l.Orphans(t.Context(), q)
	if err != nil || len(found) != 1 || found[0].Tag != "ipcore-aaaa-1" {
		t.Fatalf("%+v, %v", found, err)
	}
	if err := l.RemoveOrphans(t.Context(), q, found); err != nil {
		t.Error(err)
	}
	if left, err := l.Orphans(t.Context(), sdk.OrphanQuery{Tag: "ipcore"}); err != nil || len(left) != 1 || left[0].Tag != "ipcore-bbbb-1" {
		t.Errorf("left %+v, %v", left, err)
	}
	// A system that is not installed is an error only if options describe it.
	absent := toySystem()
	absent.List = []string{"no-such-command"}
	l, _ = newLauncher(t, absent.New(), sdk.Engine)
	if _, err := l.Orphans(t.Context(), sdk.OrphanQuery{Tag: "ipcore"}); !errors.Is(err, sdk.ErrUnsupported) {
		t.Errorf("a system that is not installed: %v", err)
	}
	if _, err := l.Orphans(t.Context(), sdk.OrphanQuery{Tag: "ipcore", Options: json.RawMessage(`{}`)}); !errors.Is(err, sdk.ErrBadOption) {
		t.Errorf("a system that is not installed and has options: %v", err)
	}
}
