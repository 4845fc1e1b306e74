package scheduler

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/controller/monitor"
	"github.com/ipcore/ipcore/core/wire"
)

// testMachine is a machine whose effects are recorded.
type testMachine struct {
	*machine
	t            testing.TB
	runs         map[string][]string // engines each task was sent to, in order
	answers      map[string]string   // "ok", "error" or an ename, once
	disconnected map[string]bool     // engines that are not reachable
	clock        time.Time
}

func newTestMachine(t testing.TB, scheme string, hwm int, engines ...string) *testMachine {
	b := &testMachine{t: t, runs: map[string][]string{}, answers: map[string]string{}, disconnected: map[string]bool{}, clock: time.Unix(0, 0)}
	b.machine = newMachine(scheme, hwm, b, hclog.NewNullLogger(), rand.New(rand.NewPCG(3, 4)))
	b.now = func() time.Time { return b.clock }
	for _, e := range engines {
		b.engineUp(e)
	}
	return b
}

func (b *testMachine) assign(uuid string, t *task) error {
	if b.disconnected[uuid] {
		return errors.New("not connected")
	}
	if b.machine.engines[uuid] == nil {
		b.t.Fatalf("%s sent to %s, which is not registered", t.id, uuid)
	}
	b.runs[t.id] = append(b.runs[t.id], uuid)
	return nil
}

func (b *testMachine) answer(id, how string) {
	if old, again := b.answers[id]; again {
		b.t.Fatalf("%s got two replies: %s, %s", id, old, how)
	}
	b.answers[id] = how
}

func (b *testMachine) relay(t *task, r *reply) {
	how := "error"
	if r.ok {
		how = "ok"
	}
	b.answer(t.id, how)
}
func (b *testMachine) fail(t *task, ename string) { b.answer(t.id, ename) }
func (b *testMachine) lost(t *task, _ string)     { b.answer(t.id, "EngineError") }

func (b *testMachine) task(id string, meta wire.Metadata) {
	if !b.submit(newTask([]byte("C"), nil, nil, id, meta)) {
		b.t.Fatalf("%s was refused", id)
	}
}

func (b *testMachine) wait(d time.Duration) {
	b.t.Helper()
	b.clock = b.clock.Add(d)
	b.expire(b.clock)
}

func (b *testMachine) running(id string) string {
	if t := b.tasks[id]; t != nil && t.engine != nil {
		return t.engine.uuid
	}
	return ""
}

// reply sends a task's reply from the engine that runs it.
func (b *testMachine) reply(id string, ok bool) {
	b.t.Helper()
	if !b.result(&reply{engine: b.running(id), answer: monitor.Answer{ID: id}, ok: ok}) {
		b.t.Fatalf("the reply to %s was not accepted", id)
	}
}

func (b *testMachine) reject(id string) {
	b.t.Helper()
	if !b.result(&reply{engine: b.running(id), answer: monitor.Answer{ID: id}, unmet: true}) {
		b.t.Fatalf("the rejection of %s was not accepted", id)
	}
}

func (b *testMachine) wantAnswer(id, answer string) {
	b.t.Helper()
	if got := b.answers[id]; got != answer {
		b.t.Fatalf("the reply to %s is %q, want %q (sent to %v)", id, got, answer, b.runs[id])
	}
}

func (b *testMachine) wantOn(id, engine string) {
	b.t.Helper()
	if got := b.running(id); got != engine {
		b.t.Fatalf("%s runs on %q, want %q", id, got, engine)
	}
}

func after(ids ...string) wire.Dependency {
	return wire.Dependency{IDs: ids, All: true, Success: true}
}

func TestQueueIsFIFO(t *testing.T) {
	b := newTestMachine(t, "", 1, "e")
	for i := range 5 {
		b.task(fmt.Sprint(i), wire.Metadata{})
	}
	for i := range 5 {
		b.wantOn(fmt.Sprint(i), "e")
		b.reply(fmt.Sprint(i), true)
	}
	if len(b.tasks) != 0 || b.any.waiting.len() != 0 {
		t.Fatal("tasks are left")
	}
}

func TestLeastLoadSpreads(t *testing.T) {
	b := newTestMachine(t, "leastload", 0, "a", "b", "c")
	for i := range 9 {
		b.task(fmt.Sprint(i), wire.Metadata{})
	}
	for _, e := range b.engines {
		if e.load != 3 {
			t.Fatalf("%s has %d tasks", e.uuid, e.load)
		}
	}
}

func TestTasksWaitForTheFirstEngine(t *testing.T) {
	b := newTestMachine(t, "", 1)
	b.task("x", wire.Metadata{})
	if !b.warnedNoEngines {
		t.Fatal("no warning was logged")
	}
	b.engineUp("e")
	b.wantOn("x", "e")
}

func TestTargets(t *testing.T) {
	b := newTestMachine(t, "", 1, "a", "b")
	b.task("1", wire.Metadata{Targets: []string{"a"}})
	b.task("2", wire.Metadata{Targets: []string{"a"}})
	b.task("3", wire.Metadata{})
	b.wantOn("3", "b") // not behind 2
	b.reply("3", true)
	b.wantOn("2", "")
	b.reply("1", true)
	b.wantOn("2", "a")
	b.task("4", wire.Metadata{Targets: []string{"nobody"}})
	b.wantAnswer("4", "ImpossibleDependency")
	b.task("5", wire.Metadata{Targets: []string{"a", "nobody"}})
	b.engineDown("a")
	b.wantAnswer("2", "EngineError")
	b.wantAnswer("5", "ImpossibleDependency")
}

func TestDependencies(t *testing.T) {
	b := newTestMachine(t, "", 0, "a", "b")
	b.task("1", wire.Metadata{})
	b.task("2", wire.Metadata{After: after("1")})
	b.task("3", wire.Metadata{Follow: after("1")})
	b.task("4", wire.Metadata{After: after("2")})
	b.task("5", wire.Metadata{After: wire.Dependency{IDs: []string{"2", "1"}, Failure: true}})
	for _, id := range []string{"2", "3", "4", "5"} {
		b.wantOn(id, "")
	}
	on := b.running("1")
	b.reply("1", true)
	b.wantOn("3", on)
	b.reply("2", false)
	b.wantAnswer("4", "ImpossibleDependency")
	if b.running("5") == "" {
		t.Fatal("5 does not run although a task that it depends on has failed")
	}
	b.task("6", wire.Metadata{After: after("2")})
	b.wantAnswer("6", "ImpossibleDependency")
	b.task("7", wire.Metadata{After: after("never seen")})
	b.wantAnswer("7", "InvalidDependency")
	b.task("8", wire.Metadata{Follow: after("8")})
	b.wantAnswer("8", "InvalidDependency")
	b.task("9", wire.Metadata{After: wire.Dependency{IDs: []string{"1"}, All: true}})
	b.wantAnswer("9", "InvalidDependency")
}

func TestFollowOnTwoEnginesIsImpossible(t *testing.T) {
	b := newTestMachine(t, "", 1, "a", "b")
	b.task("1", wire.Metadata{})
	b.task("2", wire.Metadata{})
	b.task("all", wire.Metadata{Follow: after("1", "2")})
	b.task("any", wire.Metadata{Follow: wire.Dependency{IDs: []string{"1", "2"}, Success: true}})
	on := b.running("2")
	b.reply("1", true)
	b.reply("2", true)
	b.wantAnswer("all", "ImpossibleDependency")
	if b.running("any") == "" {
		t.Fatal("a task that follows any of two waits although both have ended")
	}
	b.task("gone", wire.Metadata{Follow: after("2")})
	b.engineDown(on)
	b.task("late", wire.Metadata{Follow: after("2")})
	b.wantAnswer("late", "ImpossibleDependency")
}

func TestFollowAnyGrows(t *testing.T) {
	b := newTestMachine(t, "", 1, "a", "b")
	b.task("1", wire.Metadata{Targets: []string{"a"}})
	b.task("2", wire.Metadata{Targets: []string{"b"}})
	b.task("block", wire.Metadata{Targets: []string{"a"}})
	b.task("f", wire.Metadata{Follow: wire.Dependency{IDs: []string{"1", "2"}, Success: true}})
	b.reply("1", true)
	b.wantOn("block", "a")
	b.wantOn("f", "") // a is busy
	b.reply("2", true)
	b.wantOn("f", "b")
}

func TestLongChainFails(t *testing.T) {
	b := newTestMachine(t, "", 1, "a")
	b.task("0", wire.Metadata{})
	const n = 100000
	for i := 1; i < n; i++ {
		b.task(fmt.Sprint(i), wire.Metadata{After: after(fmt.Sprint(i - 1))})
	}
	b.reply("0", false)
	b.wantAnswer(fmt.Sprint(n-1), "ImpossibleDependency")
}

func TestRetries(t *testing.T) {
	for _, retries := range []int{0, 1, 2, 5} {
		b := newTestMachine(t, "", 1, "a", "b")
		b.task("x", wire.Metadata{Retries: retries})
		for range retries + 1 {
			b.reply("x", false)
		}
		b.wantAnswer("x", "error")
		if got := len(b.runs["x"]); got != retries+1 {
			t.Fatalf("ran %d times with %d retries", got, retries)
		}
		if retries >= 1 && b.runs["x"][0] == b.runs["x"][1] {
			t.Fatal("the first retry went to the engine that failed")
		}
	}
}

func TestRetryWaitsForAFreshEngine(t *testing.T) {
	b := newTestMachine(t, "", 1, "a", "b")
	b.task("hog", wire.Metadata{})
	b.task("x", wire.Metadata{Retries: 1})
	on := b.running("x")
	b.reply("x", false)
	b.wantOn("x", "")
	b.task("next", wire.Metadata{})
	b.wantOn("next", on)
	b.reply("hog", true)
	if at := b.running("x"); at == "" || at == on {
		t.Fatalf("x runs on %q after %q", at, on)
	}
	b.reply("x", true)
	b.wantAnswer("x", "ok")
}

func TestRetryWithTimeoutWaitsForAnotherEngine(t *testing.T) {
	b := newTestMachine(t, "", 1, "a", "b")
	limited := wire.Metadata{Retries: 5, Timeout: 2}
	b.task("x", limited)
	b.reply("x", false)
	b.reply("x", false)
	b.wantOn("x", "") // it failed on both
	b.wait(2 * time.Second)
	b.wantAnswer("x", "TaskTimeout")

	b.task("y", limited)
	b.reply("y", false)
	b.reply("y", false)
	b.engineUp("c")
	b.wantOn("y", "c")
	b.reply("y", false)
	b.wantOn("y", "")
	b.wait(2 * time.Second)
	b.wantAnswer("y", "TaskTimeout")
}

func TestRetryGoesBackWhenTheOtherEngineLeaves(t *testing.T) {
	b := newTestMachine(t, "", 1, "a", "b")
	b.task("hog", wire.Metadata{})
	other := b.running("hog")
	b.task("x", wire.Metadata{Retries: 1})
	on := b.running("x")
	b.reply("x", false)
	b.engineDown(other)
	b.wantAnswer("hog", "EngineError")
	b.wantOn("x", on)
}

func TestRejections(t *testing.T) {
	b := newTestMachine(t, "", 1, "a", "b")
	b.task("x", wire.Metadata{})
	b.reject("x")
	b.reject("x")
	b.wantAnswer("x", "ImpossibleDependency")
	if b.runs["x"][0] == b.runs["x"][1] {
		t.Fatal("asked the same engine twice")
	}
	b.task("y", wire.Metadata{Targets: []string{"a"}, Retries: 3})
	b.reject("y")
	b.wantAnswer("y", "ImpossibleDependency")
	b.task("z", wire.Metadata{})
	b.reject("z")
	b.reply("z", true)
	b.wantAnswer("z", "ok")
}

func TestEngineLoss(t *testing.T) {
	b := newTestMachine(t, "", 1, "a", "b")
	b.task("x", wire.Metadata{Retries: 2})
	first := b.running("x")
	b.engineDown(first)
	if at := b.running("x"); at == "" || at == first {
		t.Fatalf("x runs on %q", at)
	}
	if b.result(&reply{engine: first, answer: monitor.Answer{ID: "x"}, ok: true}) {
		t.Fatal("a dead engine's reply was accepted")
	}
	b.engineDown(b.running("x"))
	b.wantOn("x", "")
	if _, answered := b.answers["x"]; answered {
		t.Fatal("x had a retry left and may wait for an engine")
	}
	b.engineUp("c")
	b.wantOn("x", "c")
	b.engineDown("c")
	b.wantAnswer("x", "EngineError")
	b.task("y", wire.Metadata{Follow: after("x")})
	b.wantAnswer("y", "ImpossibleDependency")
}

func TestUnreachableEngine(t *testing.T) {
	b := newTestMachine(t, "", 1, "a", "b")
	b.disconnected["a"], b.disconnected["b"] = true, true
	b.task("x", wire.Metadata{})
	b.wantOn("x", "")
	b.disconnected["b"] = false
	b.engineBack("b")
	b.wantOn("x", "b")
	b.task("y", wire.Metadata{Targets: []string{"a"}})
	b.engineDown("a")
	b.wantAnswer("y", "ImpossibleDependency")
}

func TestTimeout(t *testing.T) {
	b := newTestMachine(t, "", 1, "a")
	b.task("hog", wire.Metadata{Timeout: 1})
	b.task("x", wire.Metadata{Timeout: 2})
	b.task("y", wire.Metadata{Timeout: 1, After: after("hog")})
	b.task("z", wire.Metadata{Timeout: 5})
	for step := 1; step <= 2; step++ {
		at, any := b.nextAlarm()
		if want := time.Unix(int64(step), 0); !any || !at.Equal(want) {
			t.Fatalf("next alarm %v, %v; want %v", at, any, want)
		}
		b.clock = at
		b.expire(at)
	}
	b.wantAnswer("y", "TaskTimeout")
	b.wantAnswer("x", "TaskTimeout")
	b.reply("hog", true) // running tasks have no limit
	b.wantAnswer("hog", "ok")
	b.wantOn("z", "a")
	if _, any := b.nextAlarm(); any {
		t.Fatal("an alarm is left")
	}
}

func TestSameTaskTwice(t *testing.T) {
	b := newTestMachine(t, "", 1, "a")
	b.task("x", wire.Metadata{})
	if b.submit(newTask(nil, nil, nil, "x", wire.Metadata{})) {
		t.Fatal("a running task was submitted again")
	}
	b.reply("x", true)
	if b.submit(newTask(nil, nil, nil, "x", wire.Metadata{})) {
		t.Fatal("an ended task was submitted again")
	}
}

// TestMachine plays random histories with every scheme and checks the invariants,
// and that every task ends.
func TestMachine(t *testing.T) {
	for _, scheme := range SchemeNames() {
		for seed := range uint64(25) {
			t.Run(fmt.Sprintf("%s/%d", scheme, seed), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 7))
				playRandomHistory(t, newTestMachine(t, scheme, rng.IntN(3)), rng)
			})
		}
	}
}

func playRandomHistory(t *testing.T, b *testMachine, rng *rand.Rand) {
	var ids, engines []string
	const steps = 400
	for step := range steps {
		switch n := rng.IntN(20); {
		case n < 8:
			id := fmt.Sprintf("t%d", step)
			b.task(id, randomTask(rng, ids, engines))
			ids = append(ids, id)
		case n < 15:
			b.randomReply(rng)
		case n < 17 && len(engines) < 6 || len(engines) == 0:
			uuid := fmt.Sprintf("e%d", step)
			engines = append(engines, uuid)
			b.engineUp(uuid)
		case n == 17:
			i := rng.IntN(len(engines))
			b.engineDown(engines[i])
			engines = slices.Delete(engines, i, i+1)
		case n == 18:
			uuid := engines[rng.IntN(len(engines))]
			if b.disconnected[uuid] = !b.disconnected[uuid]; !b.disconnected[uuid] {
				b.engineBack(uuid)
			}
		default:
			b.wait(time.Second)
		}
		b.check()
	}
	for uuid := range b.disconnected {
		b.disconnected[uuid] = false
		b.engineBack(uuid)
	}
	b.engineUp("last")
	for b.randomReply(rng) {
		b.check()
	}
	for _, id := range ids {
		if _, answered := b.answers[id]; !answered {
			t.Fatalf("%s never ended: %+v", id, b.tasks[id])
		}
	}
	if len(b.tasks) > 0 || len(b.classes) > 0 || len(b.wideClasses) > 0 || b.alarms.len() > 0 || len(b.toNotify) > 0 {
		t.Fatal("tasks, classes or alarms are left")
	}
}

func randomTask(rng *rand.Rand, ids, engines []string) wire.Metadata {
	dep := func() wire.Dependency {
		d := wire.Dependency{All: rng.IntN(2) == 0, Success: rng.IntN(4) > 0, Failure: rng.IntN(3) == 0}
		for range 1 + rng.IntN(3) {
			d.IDs = append(d.IDs, ids[max(0, len(ids)-1-rng.IntN(8))])
		}
		return d
	}
	var meta wire.Metadata
	if rng.IntN(3) == 0 {
		meta.Retries = rng.IntN(8)
	}
	if rng.IntN(6) == 0 {
		meta.Timeout = float64(1 + rng.IntN(5))
	}
	if rng.IntN(4) == 0 && len(ids) > 0 {
		meta.After = dep()
	}
	if rng.IntN(6) == 0 && len(ids) > 0 {
		meta.Follow = dep()
	}
	for rng.IntN(3) == 0 && len(engines) > 0 {
		meta.Targets = append(meta.Targets, engines[rng.IntN(len(engines))])
	}
	return meta
}

// randomReply lets one running task succeed, fail or be rejected by its engine.
func (b *testMachine) randomReply(rng *rand.Rand) bool {
	var running []string
	for id, t := range b.tasks {
		if t.engine != nil {
			running = append(running, id)
		}
	}
	if len(running) == 0 {
		return false
	}
	slices.Sort(running)
	id := running[rng.IntN(len(running))]
	switch rng.IntN(6) {
	case 0:
		b.reject(id)
	case 1, 2:
		b.reply(id, false)
	default:
		b.reply(id, true)
	}
	return true
}

// check checks the machine's invariants.
func (b *testMachine) check() {
	b.t.Helper()
	for uuid, e := range b.engines {
		if e.load != len(e.running) || b.hwm > 0 && e.load > b.hwm {
			b.t.Fatalf("%s: load %d with %d tasks, limit %d", uuid, e.load, len(e.running), b.hwm)
		}
		if free := !e.unreachable && (b.hwm == 0 || e.load < b.hwm); free != (e.poolIndex >= 0) {
			b.t.Fatalf("%s: has capacity: %v, pool index %d", uuid, free, e.poolIndex)
		}
		for _, c := range e.classes {
			if b.classes[c.key] != c || c.waiting.len() == 0 {
				b.t.Fatalf("%s lists a class without tasks", uuid)
			}
		}
	}
	for id, t := range b.tasks {
		if t.engine != nil && t.class != nil {
			b.t.Fatalf("%s runs and waits", id)
		}
		if (t.engine == nil && t.timeout > 0) != (t.alarmIndex >= 0) {
			b.t.Fatalf("%s: alarm %d", id, t.alarmIndex)
		}
		if t.engine != nil && t.targets != nil && !slices.Contains(t.targets, t.engine) {
			b.t.Fatalf("%s runs on an engine that is not one of its targets", id)
		}
		if t.class == nil {
			continue
		}
		for _, e := range b.engines {
			admits := t.class.members == nil && !slices.Contains(t.class.excluded, e) || slices.Contains(t.class.members, e)
			if e.poolIndex >= 0 && admits {
				b.t.Fatalf("%s waits in %q while %s has capacity", id, t.class.key, e.uuid)
			}
		}
	}
	for id, runs := range b.runs {
		if strings.Join(runs, "") == "" {
			b.t.Fatalf("%s ran nowhere", id)
		}
	}
}
