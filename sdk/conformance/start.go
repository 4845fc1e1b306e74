package conformance

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/ipcore/ipcore/sdk"
)

var startChecks = []Check{{
	Name: "start", run: checkStart,
	Want: "Start of n engines returns a state that is a JSON object, and n processes run; ToDict returns a state too",
}, {
	Name: "start-default-n", run: checkDefaultN,
	Want: "without n it starts its default number of engines, at least one",
}, {
	Name: "start-again", run: checkStartAgain,
	Want: "a second Start of an id is FAILED_PRECONDITION and starts nothing",
}, {
	Name: "start-concurrent", run: checkStartConcurrent,
	Want: "of eight concurrent Starts of one id, one succeeds and the others are FAILED_PRECONDITION",
}, {
	Name: "start-missing-program", run: checkMissingProgram,
	Want: "if the program does not exist, Start fails and leaves nothing, or the workload is reported as stopped with a code other than 0",
}, {
	Name: "start-canceled", run: checkStartCanceled,
	Want: "a canceled Start leaves nothing, or a workload that Stop ends",
}, {
	Name: "start-several-ids", run: checkSeveralIDs,
	Want: "four workloads with four ids run at the same time, and Stop of one leaves the others",
}, {
	Name: "command-exact", run: checkCommand,
	Want: "the command's arguments arrive unchanged: blanks, quotes, dollar signs, stars, newlines, empty arguments",
}, {
	Name: "environment", run: checkEnvironment,
	Want: "the variables that the request adds to the environment arrive unchanged",
}, {
	Name: "environment-private", run: checkPrivate,
	Want: "no workload sees PLUGIN_* or the other variables that ipcore passes to the plugin",
}, {
	Name: "work-dir", run: checkWorkDir,
	Want: "the workload runs in the folder that the request names",
}}

func checkStart(b *fixture) {
	b.start(2, sleeper)
	if state, err := b.ToDict(b.ctx, "w"); err != nil || len(state) == 0 || state[0] != '{' {
		b.errorf("ToDict: %.100q, %v", []byte(state), err)
	}
	b.stop()
}

func checkDefaultN(b *fixture) {
	r := b.request("w", 1, sleeper)
	r.N = nil
	if _, err := b.Start(b.ctx, r); err != nil {
		b.fatalf("Start without n: %v", err)
	}
	if b.DefaultN > 0 {
		b.waitAlive(b.processes(b.DefaultN))
	} else {
		b.waitFor(func() bool { _, alive := b.pids(); return len(alive) > 0 }, func() string { return "no process is alive" })
	}
	b.stop()
}

func checkStartAgain(b *fixture) {
	b.start(1, sleeper)
	_, err := b.Start(b.ctx, b.request("w", 1, sleeper))
	b.wantError("the second Start", err, sdk.ErrProcessState)
	b.waitAlive(1)
	b.stop()
}

func checkStartConcurrent(b *fixture) {
	results := make(chan error)
	r := b.request("w", 1, sleeper)
	for range 8 {
		go func() {
			_, err := b.Start(b.ctx, r)
			results <- err
		}()
	}
	won := 0
	for range 8 {
		if err := <-results; err == nil {
			won++
		} else {
			b.wantError("a Start that lost", err, sdk.ErrProcessState)
		}
	}
	if won != 1 {
		b.fatalf("%d of 8 succeeded", won)
	}
	b.waitAlive(1)
	b.stop()
}

func checkMissingProgram(b *fixture) {
	r := b.request("w", 2, "")
	r.Command = []string{filepath.Join(b.dir, "no such program")}
	if _, err := b.Start(b.ctx, r); err == nil {
		// A system that accepts the request first has to report the failure later.
		if end := b.eventLog(b.Client); end.Exit.Code == 0 {
			b.errorf("the workload is reported to have ended with code 0")
		}
		b.noError("Stop", b.Stop(b.ctx, "w"))
		return
	}
	_, err := b.ToDict(b.ctx, "w")
	b.wantError("ToDict after the failed Start", err, sdk.ErrNotRunning)
	b.noneAlive("after the failed Start")
	b.start(1, sleeper) // the id is free again
	b.stop()
}

func checkStartCanceled(b *fixture) {
	ctx, cancel := context.WithTimeout(b.ctx, 3*time.Millisecond)
	defer cancel()
	_, err := b.Start(ctx, b.request("w", 4, sleeper))
	// Start may still be in progress; then Stop returns FAILED_PRECONDITION.
	var stopErr error
	b.waitFor(func() bool {
		stopErr = b.Stop(b.ctx, "w")
		return !errors.Is(stopErr, sdk.ErrProcessState)
	}, func() string { return "Stop returns " + stopErr.Error() })
	if stopErr != nil && (err == nil || !errors.Is(stopErr, sdk.ErrNotRunning)) {
		b.errorf("Stop: %v", stopErr)
	}
	if stopErr != nil {
		// Stop may have come before Start, which then has to stop the workload itself.
		b.eventually(func() bool { _, alive := b.pids(); return len(alive) == 0 })
	}
	b.noneAlive("afterwards")
}

func checkSeveralIDs(b *fixture) {
	ids := []string{"w", "x", "y", "z"}
	for _, id := range ids {
		if _, err := b.Start(b.ctx, b.request(id, 1, sleeper)); err != nil {
			b.fatalf("Start of %q: %v", id, err)
		}
		b.onCleanup(func() { _ = b.Stop(b.ctx, id) }) // mostly it is stopped already
	}
	b.waitAlive(len(ids))
	for i, id := range ids {
		b.noError("Stop of "+id, b.Stop(b.ctx, id))
		if _, alive := b.pids(); len(alive) != len(ids)-1-i {
			b.errorf("after Stop of %d of %d, %d processes are alive", i+1, len(ids), len(alive))
		}
	}
}

// awkwardWords are words that a launcher has to quote if it writes scripts.
var awkwardWords = []string{"two words", `"double"`, `it's`, `$HOME ${HOME} $(id)`, "`id`", `back\slash\\`, `*?[a-z]~`, "#!&|;<>(){}", "", "two\nlines", "tab\there", "ünï→", "-n", "%j %%", "{n}"}

func checkCommand(b *fixture) {
	r := b.request("w", 1, `for a; do printf '%s\036' "$a"; done >"$D/new"; mv "$D/new" "$D/args"; `+sleeper)
	r.Command = append(r.Command, "sh")
	r.Command = append(r.Command, awkwardWords...)
	b.mustStart(r)
	b.sameWords(b.readFile("args"), awkwardWords)
	b.stop()
}

// sameWords compares the words that a workload wrote, each followed by a record
// separator.
func (b *fixture) sameWords(text string, want []string) {
	got := splitRecords(text)
	for i, w := range want {
		if i >= len(got) {
			b.errorf("%d words arrived, want %d", len(got), len(want))
			return
		}
		if got[i] != w {
			b.errorf("%q arrived as %q", w, got[i])
		}
	}
}

func checkEnvironment(b *fixture) {
	words := []string{"two words", `it's "quoted"`, "$HOME `id`", `back\slash`, "", "ünï→", "a,b=c"}
	r := b.request("w", 1, `for a in "$WORD_0" "$WORD_1" "$WORD_2" "$WORD_3" "$WORD_4" "$WORD_5" "$WORD_6"; do printf '%s\036' "$a"; done >"$D/new"; mv "$D/new" "$D/env"; `+sleeper)
	for i, w := range words {
		r.Env["WORD_"+string(rune('0'+i))] = w
	}
	b.mustStart(r)
	b.sameWords(b.readFile("env"), words)
	b.stop()
}

func checkPrivate(b *fixture) {
	b.start(1, `env >"$D/new"; mv "$D/new" "$D/env"; `+sleeper)
	for _, name := range variables(b.readFile("env")) {
		if sdk.HandshakeVariable(name) {
			b.errorf("the workload sees %s", name)
		}
	}
	b.stop()
}

func checkWorkDir(b *fixture) {
	r := b.request("w", 1, `pwd -P >"$D/new"; mv "$D/new" "$D/pwd"; `+sleeper)
	r.WorkDir = filepath.Join(b.dir, "work dir")
	b.mkdir(r.WorkDir)
	b.mustStart(r)
	if got := firstLine(b.readFile("pwd")); !sameFile(got, r.WorkDir) {
		b.errorf("it runs in %q, not in %q", got, r.WorkDir)
	}
	b.stop()
}
