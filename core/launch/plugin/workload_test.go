package plugin

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ipcore/ipcore/core/launch/registry"
	"github.com/ipcore/ipcore/sdk"
)

// sleepers returns a request for n processes that run until they are stopped.
func sleepers(t testing.TB, n int) sdk.StartRequest {
	t.Helper()
	return sdk.StartRequest{N: &n, ProfileDir: t.TempDir(), ClusterID: "c", Command: []string{"sleep", "300"}}
}

func nextEvent(t testing.TB, e *Events) sdk.Event {
	t.Helper()
	select {
	case ev, ok := <-e.C:
		if !ok {
			t.Fatalf("the events ended: %v", e.Err())
		}
		return ev
	case <-time.After(20 * time.Second):
		t.Fatal("no event")
	}
	panic("not reached")
}

func TestEngineSet(t *testing.T) {
	ctx := testContext(t)
	p := openLocal(t)
	l := p.Workload(sdk.Engine, "s1")
	if _, err := l.Start(ctx, sleepers(t, 3)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Stop(testContext(t)) })
	events := l.Events(ctx, 0)
	if ev := nextEvent(t, events); ev.Kind != sdk.EventRunning {
		t.Fatalf("first event: %+v", ev)
	}
	state, err := l.ToDict(ctx)
	if err != nil {
		t.Fatal(err)
	}

	// Another plugin process takes over the set, and the first one is closed.
	p2 := openLocal(t)
	l2 := p2.Workload(sdk.Engine, "s1")
	if _, err := l2.FromDict(ctx, state); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	p.Close()
	if d := time.Since(start); d > time.Second {
		t.Errorf("Close took %v", d)
	}
	for range events.C {
	}
	if !errors.Is(events.Err(), sdk.ErrPluginGone) {
		t.Errorf("events of a closed plugin ended with %v", events.Err())
	}
	if _, err := l.ToDict(ctx); !errors.Is(err, sdk.ErrPluginGone) {
		t.Errorf("a call to a closed plugin: %v", err)
	}

	events2 := l2.Events(ctx, 0)
	if ev := nextEvent(t, events2); ev.Kind != sdk.EventRunning {
		t.Fatalf("first event after restoring: %+v", ev)
	}
	var form struct {
		Engines map[string]struct{ PID int }
	}
	if err := json.Unmarshal(state, &form); err != nil {
		t.Fatal(err)
	}
	if proc, err := os.FindProcess(form.Engines["1"].PID); err != nil || proc.Kill() != nil {
		t.Fatal("can't kill engine 1")
	}
	if ev := nextEvent(t, events2); ev.Kind != sdk.EventChanged || ev.Index != 1 {
		t.Fatalf("after engine 1 was killed: %+v", ev)
	}
	if err := l2.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if ev := nextEvent(t, events2); ev.Kind != sdk.EventStopped {
		t.Fatalf("after Stop: %+v", ev)
	}
	if _, ok := <-events2.C; ok || events2.Err() != nil {
		t.Fatalf("after the event stopped: %v", events2.Err())
	}
	if _, err := p2.Workload(sdk.Engine, "s2").FromDict(ctx, state); !errors.Is(err, sdk.ErrNotRunning) {
		t.Fatalf("FromDict of a stopped set: %v", err)
	}
}

func TestErrorsKeepTheirMeaning(t *testing.T) {
	ctx := testContext(t)
	p := openLocal(t)
	r := sleepers(t, 1)
	r.Options = []byte(`{"dealy": 1}`)
	_, err := p.Workload(sdk.Engine, "a").Start(ctx, r)
	if !errors.Is(err, sdk.ErrBadOption) || strings.Count(err.Error(), "local: ") != 1 || !strings.Contains(err.Error(), "dealy") {
		t.Errorf("unknown option: %v", err)
	}
	if err := p.Workload(sdk.Engine, "b").Stop(ctx); !errors.Is(err, sdk.ErrNotRunning) {
		t.Errorf("Stop of an unknown id: %v", err)
	}
	if _, err := p.Workload(sdk.Controller, "c").Status(ctx); !errors.Is(err, sdk.ErrNotRunning) {
		t.Errorf("Status of an unknown id: %v", err)
	}
}

func BenchmarkOpen(b *testing.B) {
	ctx := testContext(b)
	f, err := registry.Find(ctx, sdk.Engine, "local", onlyBin(b))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		p, err := Open(ctx, f, OpenOptions{})
		if err != nil {
			b.Fatal(err)
		}
		p.Close()
	}
}
