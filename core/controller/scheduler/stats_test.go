package scheduler

import (
	"context"
	"testing"
	"time"

	"github.com/ipcore/ipcore/core/wire"
)

// TestStats follows tasks through every state that is counted.
func TestStats(t *testing.T) {
	b := newBench(t, "", 1)
	s := &Scheduler{machine: b.machine}
	b.task("lonely", wire.Metadata{})
	b.task("dependent", wire.Metadata{After: after("lonely")})
	want := Stats{Submitted: 2, Waiting: Waits{Engines: 1, Dependency: 1}}
	check := func(when string) {
		t.Helper()
		if got := s.stats(); got != want {
			t.Errorf("%s: %+v, want %+v", when, got, want)
		}
	}
	check("no engine")
	b.engineUp("e1")
	b.task("any", wire.Metadata{})
	b.task("picky", wire.Metadata{Targets: []string{"e1"}, Retries: 1})
	want = Stats{Engines: 1, Running: 1, Submitted: 4, Waiting: Waits{Dependency: 1, Room: 1, Certain: 1}}
	check("one engine")
	b.done("lonely", true)
	b.done("any", true)
	want.Completed, want.Waiting = 2, Waits{Certain: 1}
	check("the dependent one runs")
	b.done("dependent", true)
	want.Completed, want.Waiting = 3, Waits{}
	check("the last one runs")
	b.done("picky", false)
	want.Retried = 1
	check("it runs again")
	b.engineDown("e1")
	want.Engines, want.Running, want.Failed, want.Stranded = 0, 0, 1, 1
	check("the engine is lost")
}

// TestStatsWithoutAnAnswer asks a scheduler that is not running.
func TestStatsWithoutAnAnswer(t *testing.T) {
	s, err := New(Options{Session: testSession(t, "s"), Link: newWires(), Monitor: newWires()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if _, err := s.Stats(ctx); err == nil {
		t.Error("a scheduler that does not run answers")
	}
	close(s.done)
	if _, err := s.Stats(context.Background()); err == nil {
		t.Error("a scheduler that has ended answers")
	}
}
