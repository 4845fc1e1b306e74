package conformance

import (
	"context"
	"os"
	"path/filepath"

	"github.com/ipcore/ipcore/sdk"
)

var stopChecks = []Check{{
	Name: "stop", run: func(b *bed) { b.start(2, sleeper); b.stop(); b.story(b.Client) },
	Want: "when Stop returns no process is left, and the story ends with stopped",
}, {
	Name: "stop-twice", run: func(b *bed) { b.start(2, sleeper); b.stop(); b.stop() },
	Want: "Stop of what is stopped succeeds",
}, {
	Name: "stop-together", run: checkStopTogether,
	Want: "five Stops at the same moment all succeed",
}, {
	Name: "stop-ended", run: checkStopEnded,
	Want: "Stop of what has ended by itself succeeds",
}, {
	Name: "stop-deaf", run: func(b *bed) { b.start(2, `trap "" TERM; `+sleeper); b.stop() },
	Want: "a workload that ignores SIGTERM is ended too",
}, {
	Name: "stop-children", run: checkChildren,
	Want: "what the workload has started is ended too, also when it ignores SIGTERM",
}}

func checkStopTogether(b *bed) {
	b.start(2, sleeper)
	errs := make(chan error)
	for range 5 {
		go func() { errs <- b.Stop(b.ctx, "w") }()
	}
	for range 5 {
		b.no("Stop", <-errs)
	}
	b.noneAlive("after Stop")
	b.story(b.Client)
}

func checkStopEnded(b *bed) {
	b.start(2, untilGo+`exit 0`)
	b.release()
	end := b.story(b.Client)
	b.no("Stop", b.Stop(b.ctx, "w"))
	if again := b.story(b.Client); again.Seq != end.Seq {
		b.errorf("Stop added to the story: %d events were %d", again.Seq, end.Seq)
	}
}

// untilGo is a script that waits for release.
const untilGo = `while [ ! -e "$D/go" ]; do sleep 0.05; done; `

// release lets scripts of untilGo go on.
func (b *bed) release() {
	if err := os.WriteFile(filepath.Join(b.dir, "go"), nil, 0o600); err != nil {
		b.fatalf("%v", err)
	}
}

func checkChildren(b *bed) {
	script := `export D; sh -c 'trap "" TERM; ` + announce + sleeper + `' & ` + `sleep 600`
	if _, err := b.Start(b.ctx, b.request("w", 1, script)); err != nil {
		b.fatalf("Start: %v", err)
	}
	b.waitAlive(2)
	b.stop()
}

var lostChecks = []Check{{
	Name: "lost-one", Sets: true, Power: sdk.CapabilityWait, run: checkLostOne,
	Want: "that one engine of a set was killed from outside is told of, as changed with its index or, where all end with it, as stopped",
}, {
	Name: "lost-all", run: checkLostAll,
	Want: "that the workload was killed from outside is noticed: stopped, told once, with a code that is not 0",
}, {
	Name: "end-code", run: checkEndCode,
	Want: "the exit code of what ends by itself is told, or -1 for not known",
}, {
	Name: "end-early", run: checkEndEarly,
	Want: "what ended before the events were asked for is told of all the same",
}}

func checkLostOne(b *bed) {
	b.start(3, sleeper)
	_, alive := b.pids()
	b.kill(alive[1])
	var told sdk.Event
	ctx, cancel := context.WithTimeout(b.ctx, b.Patience)
	defer cancel()
	err := b.Events(ctx, "w", 1, func(e sdk.Event) error {
		told = e
		return errEnough
	})
	switch {
	case told.Kind == sdk.EventStopped, told.Kind == sdk.EventChanged && told.Index >= 0 && told.Index < 3:
	default:
		b.errorf("told was %+v (%v)", told, err)
	}
	b.stop()
}

func checkLostAll(b *bed) {
	pids := b.startAlive(2)
	for _, pid := range pids {
		b.kill(pid)
	}
	if end := b.story(b.Client); end.Exit.Code == 0 {
		b.errorf("stopped with code 0")
	}
	b.no("Stop", b.Stop(b.ctx, "w"))
}

func (b *bed) startAlive(n int) []int {
	b.start(n, sleeper)
	_, alive := b.pids()
	return alive
}

func checkEndCode(b *bed) {
	b.start(2, untilGo+`echo the last words; exit 7`)
	b.release()
	if end := b.story(b.Client); end.Exit.Code != 7 && end.Exit.Code != -1 {
		b.errorf("it ended with 7 and was told to have ended with %d", end.Exit.Code)
	}
}

func checkEndEarly(b *bed) {
	if _, err := b.Start(b.ctx, b.request("w", 1, `exit 0`)); err != nil {
		b.fatalf("Start: %v", err)
	}
	b.story(b.Client)
	b.no("Stop", b.Stop(b.ctx, "w"))
}
