package conformance

import (
	"os"
	"path/filepath"
)

var stopChecks = []Check{{
	Name: "stop", run: func(b *fixture) { b.start(2, sleeper); b.stop(); b.eventLog(b.Client) },
	Want: "when Stop returns no process is left, and the last event is stopped",
}, {
	Name: "stop-twice", run: func(b *fixture) { b.start(2, sleeper); b.stop(); b.stop() },
	Want: "Stop of a workload that is stopped succeeds",
}, {
	Name: "stop-concurrent", run: checkStopConcurrent,
	Want: "five concurrent Stops all succeed",
}, {
	Name: "stop-ended", run: checkStopEnded,
	Want: "Stop of a workload that has ended by itself succeeds",
}, {
	Name: "stop-ignores-sigterm", run: func(b *fixture) { b.start(2, `trap "" TERM; `+sleeper); b.stop() },
	Want: "Stop ends a workload that ignores SIGTERM",
}, {
	Name: "stop-children", run: checkChildren,
	Want: "Stop ends processes that the workload has started, also those that ignore SIGTERM",
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
		b.errorf("Stop added an event: %d events, before %d", again.Seq, end.Seq)
	}
}

// waitForGo is the part of a script that waits until writeGoFile is called.
const waitForGo = `while [ ! -e "$D/go" ]; do sleep 0.05; done; `

// writeGoFile makes scripts with waitForGo continue.
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
