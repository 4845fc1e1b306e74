package conformance

import (
	"os"
	"path/filepath"
)

var stopChecks = []Check{{
	Name: "stop", run: func(b *fixture) { b.start(2, sleeper); b.stop(); b.eventLog(b.Client) },
	Want: "when Stop returns no process is left, and the story ends with stopped",
}, {
	Name: "stop-twice", run: func(b *fixture) { b.start(2, sleeper); b.stop(); b.stop() },
	Want: "Stop of what is stopped succeeds",
}, {
	Name: "stop-concurrent", run: checkStopConcurrent,
	Want: "five Stops at the same moment all succeed",
}, {
	Name: "stop-ended", run: checkStopEnded,
	Want: "Stop of what has ended by itself succeeds",
}, {
	Name: "stop-ignores-sigterm", run: func(b *fixture) { b.start(2, `trap "" TERM; `+sleeper); b.stop() },
	Want: "a workload that ignores SIGTERM is ended too",
}, {
	Name: "stop-children", run: checkChildren,
	Want: "what the workload has started is ended too, also when it ignores SIGTERM",
}}

func checkStopConcurrent(b *fixture) {
	b.start(2, sleeper)
	errs := make(chan error)
	for range 5 {
		go func() { errs <- b.Stop(b.ctx, "w") }()
	}
	for range 5 {
		b.noError("Stop", <-errs)
	}
	b.noneAlive("after Stop")
	b.eventLog(b.Client)
}

func checkStopEnded(b *fixture) {
	b.start(2, waitForGo+`exit 0`)
	b.writeGoFile()
	end := b.eventLog(b.Client)
	b.noError("Stop", b.Stop(b.ctx, "w"))
	if again := b.eventLog(b.Client); again.Seq != end.Seq {
		b.errorf("Stop added to the story: %d events were %d", again.Seq, end.Seq)
	}
}

// untilGo is a script that waits for release.
const waitForGo = `while [ ! -e "$D/go" ]; do sleep 0.05; done; `

// release lets scripts of untilGo go on.
func (b *fixture) writeGoFile() {
	if err := os.WriteFile(filepath.Join(b.dir, "go"), nil, 0o600); err != nil {
		b.fatalf("%v", err)
	}
}

func checkChildren(b *fixture) {
	script := `export D; sh -c 'trap "" TERM; ` + writePID + sleeper + `' & ` + `sleep 600`
	b.mustStart(b.request("w", 1, script))
	b.waitAlive(2)
	b.stop()
}
