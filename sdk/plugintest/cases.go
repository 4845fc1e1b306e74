package plugintest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ipcore/ipcore/sdk"
)

func testDescribe(t *testing.T, c Config) {
	if err := c.Info.Check(); err != nil && c.Info.Protocol != nil {
		t.Error(err)
	}
	for _, kind := range c.Info.Kinds {
		b := newBed(t, c, kind)
		if err := b.Ping(b.ctx); err != nil {
			t.Errorf("health: %v", err)
		}
		if !b.server.Info.Offers(kind) || len(b.server.Info.Protocol) == 0 || b.server.Info.Version == "" {
			t.Errorf("the description lacks something: %+v", b.server.Info)
		}
	}
}

func testStartStop(b *bed) {
	b.start("w", 2, sleeper)
	if state, err := b.ToDict(b.ctx, "w"); err != nil || len(state) == 0 {
		b.Errorf("ToDict: %q, %v", []byte(state), err)
	}
	if err := b.Stop(b.ctx, "w"); err != nil {
		b.Errorf("Stop: %v", err)
	}
	b.noneAlive("after Stop")
	if err := b.Stop(b.ctx, "w"); err != nil {
		b.Errorf("Stop of what is stopped: %v", err)
	}
	b.wellFormed(b.events(b.Client, 0))
}

func testDefaultN(b *bed) {
	r := b.request("w", 1, sleeper)
	r.N = nil
	if _, err := b.Start(b.ctx, r); err != nil {
		b.Fatalf("Start without n: %v", err)
	}
	b.waitAlive(b.n(b.c.DefaultN))
	if err := b.Stop(b.ctx, "w"); err != nil {
		b.Error(err)
	}
	b.noneAlive("after Stop")
}

func testStartAgain(b *bed) {
	b.start("w", 1, sleeper)
	_, err := b.Start(b.ctx, b.request("w", 1, sleeper))
	b.is("Start of an id in use", err, sdk.ErrProcessState)
	b.waitAlive(1)

	// Of many at the same moment one wins.
	results := make(chan error)
	for range 8 {
		go func() {
			_, err := b.Start(b.ctx, b.request("many", 1, sleeper))
			results <- err
		}()
	}
	won := 0
	for range 8 {
		if err := <-results; err == nil {
			won++
		} else {
			b.is("a Start that lost", err, sdk.ErrProcessState)
		}
	}
	if won != 1 {
		b.Errorf("%d of 8 starts of one id succeeded", won)
	}
	for _, id := range []string{"w", "many"} {
		if err := b.Stop(b.ctx, id); err != nil {
			b.Error(err)
		}
	}
	b.noneAlive("after Stop")
}

func testBadRequests(b *bed) {
	for name, change := range map[string]func(*sdk.StartRequest){
		"another kind":              func(r *sdk.StartRequest) { r.Kind = "teapot" },
		"no command":                func(r *sdk.StartRequest) { r.Command = nil },
		"an option nobody knows":    func(r *sdk.StartRequest) { r.Options = []byte(`{"plugintest_unknown": 1}`) },
		"options that are no JSON":  func(r *sdk.StartRequest) { r.Options = []byte(`{`) },
		"options that are no table": func(r *sdk.StartRequest) { r.Options = []byte(`[1]`) },
		"n of zero":                 func(r *sdk.StartRequest) { r.N = new(0) },
		"no id":                     func(r *sdk.StartRequest) { r.ID = "" },
	} {
		r := b.request("bad", 1, sleeper)
		change(&r)
		_, err := b.Start(b.ctx, r)
		b.is("Start with "+name, err, sdk.ErrBadOption)
	}
	if all, _ := b.pids(); len(all) > 0 {
		b.Errorf("a refused Start started processes %v", all)
	}
	// The id is free again.
	b.start("bad", 1, sleeper)
	if err := b.Stop(b.ctx, "bad"); err != nil {
		b.Error(err)
	}
}

func testNoCommand(b *bed) {
	r := b.request("w", 2, "")
	r.Command = []string{filepath.Join(b.dir, "no such program")}
	if _, err := b.Start(b.ctx, r); err != nil {
		_, err := b.ToDict(b.ctx, "w")
		b.is("ToDict after a failed Start", err, sdk.ErrNotRunning)
		return
	}
	// A system that takes the request first has to tell of the failure.
	events := b.events(b.Client, 0)
	b.wellFormed(events)
	if last := events[len(events)-1]; last.Exit.Code == 0 {
		b.Errorf("a command that is not there ended with code 0: %+v", last)
	}
}

func testBigOptions(b *bed) {
	r := b.request("w", 1, sleeper)
	r.Options = fmt.Appendf(nil, `{"plugintest_big": %q}`, bytes.Repeat([]byte("x"), 10<<20))
	if _, err := b.Start(b.ctx, r); err != nil {
		b.is("Start with options of 10 MiB", err, sdk.ErrBadOption)
	}
	if err := b.Ping(b.ctx); err != nil {
		b.Errorf("after options of 10 MiB: %v", err)
	}
	if err := b.Stop(b.ctx, "w"); err != nil && !errors.Is(err, sdk.ErrNotRunning) {
		b.Error(err)
	}
}

func testUnknownID(b *bed) {
	_, err := b.ToDict(b.ctx, "nobody")
	b.is("ToDict", err, sdk.ErrNotRunning)
	b.is("Stop", b.Stop(b.ctx, "nobody"), sdk.ErrNotRunning)
	b.is("Events", b.Events(b.ctx, "nobody", 0, func(sdk.Event) error { return nil }), sdk.ErrNotRunning)
	if err := b.Detach(b.ctx, "nobody"); err != nil {
		b.Errorf("Detach: %v", err)
	}
}

func testRestore(b *bed) {
	state := b.start("w", 3, sleeper)
	b.server.Close() // the plugin ends, the workload does not
	pids := b.waitAlive(b.n(3))

	_, later := b.serve()
	again, err := later.FromDict(b.ctx, b.kind, "w", state)
	if err != nil {
		b.Fatalf("FromDict: %v", err)
	}
	if _, err := later.FromDict(b.ctx, b.kind, "w", state); err != nil {
		b.Errorf("FromDict of what is held: %v", err)
	}
	// The state answered is as good as the first.
	_, third := b.serve()
	if _, err := third.FromDict(b.ctx, b.kind, "w", again); err != nil {
		b.Fatalf("FromDict of FromDict's state: %v", err)
	}
	if len(pids) > 1 {
		// One of several engines ends: the set runs with fewer.
		b.kill(pids[0])
		_, fourth := b.serve()
		if _, err := fourth.FromDict(b.ctx, b.kind, "w", state); err != nil {
			b.Errorf("FromDict of a set that lost an engine: %v", err)
		}
		b.waitAlive(b.n(3) - 1)
	}
	if err := later.Stop(b.ctx, "w"); err != nil {
		b.Errorf("Stop after FromDict: %v", err)
	}
	b.noneAlive("after Stop of what was restored")
	b.wellFormed(b.events(later, 0))
	b.wellFormed(b.events(third, 0)) // the other plugin noticed
}

// kill ends a process from outside and waits until it is gone.
func (b *bed) kill(pid int) {
	b.Helper()
	p, err := os.FindProcess(pid)
	if err == nil {
		err = p.Kill()
	}
	if err != nil {
		b.Fatal(err)
	}
	b.until(fmt.Sprintf("pid %d is gone", pid), func() bool {
		_, alive := b.pids()
		return !slices.Contains(alive, pid)
	})
}

func testRestoreEnded(b *bed) {
	state := b.start("w", 2, sleeper)
	if err := b.Stop(b.ctx, "w"); err != nil {
		b.Fatal(err)
	}
	_, err := b.FromDict(b.ctx, b.kind, "w", state)
	b.is("FromDict of what this plugin stopped", err, sdk.ErrNotRunning)
	_, later := b.serve()
	_, err = later.FromDict(b.ctx, b.kind, "w", state)
	b.is("FromDict of what has ended", err, sdk.ErrNotRunning)
	_, err = later.ToDict(b.ctx, "w")
	b.is("ToDict of what could not be restored", err, sdk.ErrNotRunning)
}

func testRestoreNonsense(b *bed) {
	for _, state := range []string{``, `null`, `[]`, `17`, `{`, "\xff\xfe", strings.Repeat("[", 100000)} {
		_, err := b.FromDict(b.ctx, b.kind, "w", sdk.State(state))
		if err == nil || errors.Is(err, sdk.ErrNotRunning) {
			b.Errorf("FromDict of %.20q: got %v, want an error that does not say that the workload has ended", state, err)
		}
	}
	if err := b.Ping(b.ctx); err != nil {
		b.Errorf("afterwards: %v", err)
	}
}

func testDetach(b *bed) {
	state := b.start("w", 2, sleeper)
	story := make(chan error, 1)
	go func() { story <- b.Events(b.ctx, "w", 0, func(sdk.Event) error { return nil }) }()
	if err := b.Detach(b.ctx, "w"); err != nil {
		b.Fatalf("Detach: %v", err)
	}
	select {
	case err := <-story:
		b.is("Events of what was detached", err, sdk.ErrNotRunning)
	case <-time.After(b.c.Patience):
		b.Error("Detach did not end the events")
	}
	_, err := b.ToDict(b.ctx, "w")
	b.is("ToDict after Detach", err, sdk.ErrNotRunning)
	b.waitAlive(b.n(2))
	if _, err := b.FromDict(b.ctx, b.kind, "w", state); err != nil {
		b.Errorf("FromDict after Detach: %v", err)
	}
	if err := b.Stop(b.ctx, "w"); err != nil {
		b.Error(err)
	}
	b.noneAlive("after Stop")
}

func testEnd(b *bed) {
	b.start("w", 2, announce+`while [ ! -e "$PLUGINTEST_DIR/go" ]; do sleep 0.05; done; echo the last words; exit 7`)
	if err := os.WriteFile(filepath.Join(b.dir, "go"), nil, 0o600); err != nil {
		b.Fatal(err)
	}
	events := b.events(b.Client, 0)
	b.wellFormed(events)
	last := events[len(events)-1]
	if !b.server.Info.Has(sdk.PowerWait) {
		return // it can't know more
	}
	if last.Exit.Code != 7 && last.Exit.Code != -1 {
		b.Errorf("a workload that ended with code 7: %+v", last)
	}
	if err := b.Stop(b.ctx, "w"); err != nil {
		b.Errorf("Stop of what has ended: %v", err)
	}
	if again := b.events(b.Client, 0); len(again) != len(events) {
		b.Errorf("after Stop the story is %+v, before it was %+v", again, events)
	}
}

func testReplay(b *bed) {
	b.start("w", 2, sleeper)
	if err := b.Stop(b.ctx, "w"); err != nil {
		b.Fatal(err)
	}
	all := b.events(b.Client, 0)
	b.wellFormed(all)
	for after := range uint64(len(all)) {
		if rest := b.events(b.Client, after); len(rest) != len(all)-int(after) || rest[0].Seq != after+1 {
			b.Errorf("events after %d: %+v of %+v", after, rest, all)
		}
	}
	if rest := b.events(b.Client, uint64(len(all))+5); len(rest) > 0 {
		b.Errorf("events after the last: %+v", rest)
	}
}

func testManyStreams(b *bed) {
	const streams = 50
	b.start("w", 2, sleeper)
	var group sync.WaitGroup
	stories := make([][]sdk.Event, streams)
	errs := make([]error, streams)
	var open sync.WaitGroup
	open.Add(streams)
	for i := range streams {
		group.Go(func() {
			var once sync.Once
			defer once.Do(open.Done)
			ctx, cancel := context.WithTimeout(b.ctx, b.c.Patience)
			defer cancel()
			errs[i] = b.Events(ctx, "w", 0, func(e sdk.Event) error {
				once.Do(open.Done)
				stories[i] = append(stories[i], e)
				return nil
			})
		})
	}
	open.Wait() // every stream has brought "running"
	if err := b.Ping(b.ctx); err != nil {
		b.Errorf("health with %d streams open: %v", streams, err)
	}
	if err := b.Stop(b.ctx, "w"); err != nil {
		b.Error(err)
	}
	group.Wait()
	for i := range streams {
		if errs[i] != nil {
			b.Fatalf("stream %d: %v", i, errs[i])
		}
		b.wellFormed(stories[i])
	}
}

func testCancelledStream(b *bed) {
	b.start("w", 1, sleeper)
	ctx, cancel := context.WithCancel(b.ctx)
	err := b.Events(ctx, "w", 0, func(sdk.Event) error { cancel(); return nil })
	b.is("a cancelled stream", err, context.Canceled)
	if err := b.Stop(b.ctx, "w"); err != nil {
		b.Error(err)
	}
	b.wellFormed(b.events(b.Client, 0))
}

func testStopTogether(b *bed) {
	b.start("w", 2, sleeper)
	errs := make(chan error)
	for range 5 {
		go func() { errs <- b.Stop(b.ctx, "w") }()
	}
	for range 5 {
		if err := <-errs; err != nil {
			b.Errorf("Stop: %v", err)
		}
	}
	b.noneAlive("after Stop")
	b.wellFormed(b.events(b.Client, 0))
}

func testGrandchildren(b *bed) {
	// The child ignores SIGTERM and its parent ends at once.
	if _, err := b.Start(b.ctx, b.request("w", 1,
		announce+`sh -c 'trap "" TERM; echo $$ >"$PLUGINTEST_DIR/pid.$$"; exec sleep 600' & sleep 600`)); err != nil {
		b.Fatal(err)
	}
	b.waitAlive(2)
	if err := b.Stop(b.ctx, "w"); err != nil {
		b.Errorf("Stop: %v", err)
	}
	b.noneAlive("after Stop")
}

func testDeaf(b *bed) {
	b.start("w", 2, `trap "" TERM; `+sleeper)
	if err := b.Stop(b.ctx, "w"); err != nil {
		b.Errorf("Stop: %v", err)
	}
	b.noneAlive("after Stop")
}

func testEnvironment(b *bed) {
	r := b.request("w", 1, `env >"$PLUGINTEST_DIR/env.new"; pwd >"$PLUGINTEST_DIR/pwd"; mv "$PLUGINTEST_DIR/env.new" "$PLUGINTEST_DIR/env"`)
	r.Env["PLUGINTEST_WORD"] = "two words and \"quotes\" and a $dollar"
	if _, err := b.Start(b.ctx, r); err != nil {
		b.Fatal(err)
	}
	b.wellFormed(b.events(b.Client, 0))
	env, err := os.ReadFile(filepath.Join(b.dir, "env"))
	if err != nil {
		b.Fatal(err)
	}
	if !strings.Contains(string(env), "PLUGINTEST_WORD="+r.Env["PLUGINTEST_WORD"]+"\n") {
		b.Errorf("the workload's environment lacks what was asked for:\n%s", env)
	}
	for line := range strings.Lines(string(env)) {
		if name, _, _ := strings.Cut(line, "="); sdk.Private(name) && !strings.HasPrefix(name, "PLUGINTEST") {
			b.Errorf("the workload sees %s, which is between ipcore and its plugins", name)
		}
	}
	pwd, err := os.ReadFile(filepath.Join(b.dir, "pwd"))
	if err != nil {
		b.Fatal(err)
	}
	if got, err := filepath.EvalSymlinks(strings.TrimSpace(string(pwd))); err != nil || !sameFile(got, b.dir) {
		b.Errorf("the workload runs in %q, want %q (%v)", got, b.dir, err)
	}
}

func sameFile(a, b string) bool {
	i, err := os.Stat(a)
	j, err2 := os.Stat(b)
	return err == nil && err2 == nil && os.SameFile(i, j)
}

func testSignal(b *bed) {
	if !b.server.Info.Has(sdk.PowerSignal) {
		return // "powers not had" looks at what it answers
	}
	b.start("w", 2, `trap 'echo x >"$PLUGINTEST_DIR/usr1.$$"' USR1; trap 'echo x >"$PLUGINTEST_DIR/int.$$"' INT; `+announce+`while :; do sleep 0.05; done`)
	for _, s := range []struct{ signal, file string }{{"USR1", "usr1"}, {"SIGUSR1", "usr1"}, {"usr1", "usr1"}, {"2", "int"}, {"INT", "int"}} {
		if err := b.Signal(b.ctx, "w", s.signal); err != nil {
			b.Errorf("Signal %s: %v", s.signal, err)
			continue
		}
		b.until(s.signal+" has arrived everywhere", func() bool {
			files, err := filepath.Glob(filepath.Join(b.dir, s.file+".*"))
			return err == nil && len(files) == b.n(2)
		})
		files, _ := filepath.Glob(filepath.Join(b.dir, s.file+".*"))
		for _, f := range files {
			if err := os.Remove(f); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.is("Signal of a wrong name", b.Signal(b.ctx, "w", "SIGNONSENSE"), sdk.ErrBadOption)
	if err := b.Signal(b.ctx, "w", "KILL"); err != nil {
		b.Errorf("Signal KILL: %v", err)
	}
	b.wellFormed(b.events(b.Client, 0))
	b.noneAlive("after SIGKILL")
	b.is("Signal to what has ended", b.Signal(b.ctx, "w", "KILL"), sdk.ErrProcessState)
}

func testOutput(b *bed) {
	if !b.server.Info.Has(sdk.PowerOutput) {
		return
	}
	b.start("w", 2, `echo on stdout; echo on stderr >&2; printf '\377\376 not UTF-8\n'; `+sleeper)
	b.until("the output is there", func() bool {
		text, err := b.Output(b.ctx, "w", false)
		return err == nil && strings.Contains(text, "on stdout") && strings.Contains(text, "on stderr")
	})
	if err := b.Stop(b.ctx, "w"); err != nil {
		b.Error(err)
	}
	if text, err := b.Output(b.ctx, "w", true); err != nil || !strings.Contains(text, "on stdout") {
		b.Errorf("Output after the end: %q, %v", text, err)
	}
	if text, err := b.Output(b.ctx, "w", false); err != nil || text != "" {
		b.Errorf("Output after it was removed: %q, %v", text, err)
	}
}

func testUnsupported(b *bed) {
	b.start("w", 1, sleeper)
	calls := map[sdk.Power]func() error{
		sdk.PowerSignal:         func() error { return b.Signal(b.ctx, "w", "0") },
		sdk.PowerOutput:         func() error { _, err := b.Output(b.ctx, "w", false); return err },
		sdk.PowerConnectionInfo: func() error { _, err := b.ConnectionInfo(b.ctx, "w"); return err },
		sdk.PowerStatus:         func() error { _, err := b.Status(b.ctx, "w"); return err },
	}
	for power, call := range calls {
		if !b.server.Info.Has(power) {
			b.is("the power "+string(power)+", which is not announced", call(), sdk.ErrUnsupported)
		}
	}
	if b.server.Info.Has(sdk.PowerStatus) {
		if st, err := b.Status(b.ctx, "w"); err != nil || (st.State != sdk.StatusRunning && st.State != sdk.StatusPending) {
			b.Errorf("Status of what runs: %+v, %v", st, err)
		}
	}
	if err := b.Stop(b.ctx, "w"); err != nil {
		b.Error(err)
	}
}
