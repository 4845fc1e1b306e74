package conformance

import (
	"context"

	"github.com/ipcore/ipcore/sdk"
)

var exitChecks = []Check{{
	Name: "engine-killed", EngineSets: true, Capability: sdk.CapabilityWait, run: checkEngineKilled,
	Want: "that one engine of a set was killed from outside is told of, as changed with its index or, where all end with it, as stopped",
}, {
	Name: "workload-killed", run: checkWorkloadKilled,
	Want: "that the workload was killed from outside is noticed: stopped, told once, with a code that is not 0",
}, {
	Name: "exit-code", run: checkExitCode,
	Want: "the exit code of what ends by itself is told, or -1 for not known",
}, {
	Name: "ended-before-events", run: checkEndedBeforeEvents,
	Want: "what ended before the events were asked for is told of all the same",
}}

func checkEngineKilled(b *fixture) {
	b.start(3, sleeper)
	_, alive := b.pids()
	b.kill(alive[1])
	var told sdk.Event
	ctx, cancel := context.WithTimeout(b.ctx, b.Patience)
	defer cancel()
	err := b.Events(ctx, "w", 1, func(e sdk.Event) error {
		told = e
		return errStopStream
	})
	switch {
	case told.Kind == sdk.EventStopped, told.Kind == sdk.EventChanged && told.Index >= 0 && told.Index < 3:
	default:
		b.errorf("told was %+v (%v)", told, err)
	}
	b.stop()
}

func checkWorkloadKilled(b *fixture) {
	pids := b.startPIDs(2)
	for _, pid := range pids {
		b.kill(pid)
	}
	if end := b.eventLog(b.Client); end.Exit.Code == 0 {
		b.errorf("stopped with code 0")
	}
	b.noError("Stop", b.Stop(b.ctx, "w"))
}

func (b *fixture) startPIDs(n int) []int {
	b.start(n, sleeper)
	_, alive := b.pids()
	return alive
}

func checkExitCode(b *fixture) {
	b.start(2, waitForGo+`echo the last words; exit 7`)
	b.writeGoFile()
	if end := b.eventLog(b.Client); end.Exit.Code != 7 && end.Exit.Code != -1 {
		b.errorf("it ended with 7 and was told to have ended with %d", end.Exit.Code)
	}
}

func checkEndedBeforeEvents(b *fixture) {
	b.mustStart(b.request("w", 1, `exit 0`))
	b.eventLog(b.Client)
	b.noError("Stop", b.Stop(b.ctx, "w"))
}
