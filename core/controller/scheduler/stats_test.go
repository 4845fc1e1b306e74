package scheduler

import (
	"context"
	"testing"
	"time"

	"github.com/ipcore/ipcore/core/wire"
)

// TestStats moves tasks through every state that is counted.
func TestStats(t *testing.T) {
	b := newTestMachine(t, "", 1)
	s := &Scheduler{machine: b.machine}
	b.task("first", wire.Metadata{})
	b.task("dependent", wire.Metadata{After: after("first")})
	want := Stats{Submitted: 2, Waiting: Waits{NoEngines: 1, Dependencies: 1}}
	check := func(when string) {
		t.Helper()
		if got := s.stats(); got != want {
			t.Errorf("%s: %+v, want %+v", when, got, want)
		}
	}
	check("no engine")
	b.engineUp("e1")
	b.task("any", wire.Metadata{})
	b.task("targeted", wire.Metadata{Targets: []string{"e1"}, Retries: 1})
	want = Stats{Engines: 1, Running: 1, Submitted: 4, Waiting: Waits{Dependencies: 1, AnyEngine: 1, CertainEngines: 1}}
	check("one engine")
	b.reply("first", true)
	b.reply("any", true)
	want.Completed, want.Waiting = 2, Waits{CertainEngines: 1}
	check("the dependent one runs")
	b.reply("dependent", true)
	want.Completed, want.Waiting = 3, Waits{}
	check("the last one runs")
	b.reply("targeted", false)
	want.Retried = 1
	check("it runs again")
	b.engineDown("e1")
	want.Engines, want.Running, want.Failed, want.LostWithEngine = 0, 0, 1, 1
	check("the engine is lost")
}

// TestStatsWithoutAnAnswer asks a scheduler that is not running.
func TestStatsWithoutAnAnswer(t *testing.T) {
	s, err := New(Options{Session: testSession(t, "s"), Link: newFakePeers(), Monitor: newFakePeers()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if _, err := s.Stats(ctx); err == nil {
		t.Error("a scheduler that is not running replied")
	}
	close(s.done)
	if _, err := s.Stats(context.Background()); err == nil {
		t.Error("a scheduler that has ended replied")
	}
}
