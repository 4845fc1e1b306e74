package conformance

import (
	"context"

	"github.com/ipcore/ipcore/sdk"
)

var exitChecks = []Check{{
	Name: "engine-killed", EngineSets: true, Capability: sdk.CapabilityWait, run: checkEngineKilled,
	Want: "when one engine of a set is killed from outside, the event is changed with its index, or stopped where all engines end with one",
}, {
	Name: "workload-killed", run: checkWorkloadKilled,
	Want: "when the workload is killed from outside, there is one event stopped, with a code other than 0",
}, {
	Name: "exit-code", run: checkExitCode,
	Want: "when the workload ends by itself, the event has its exit code, or -1 for not known",
}, {
	Name: "ended-before-events", run: checkEndedBeforeEvents,
	Want: "a workload that ended before its events were requested has all its events",
}}

func checkEngineKilled(b *fixture) {
	b.start(3, sleeper)
	_, alive := b.pids()
	b.kill(alive[1])
	var event sdk.Event
	ctx, cancel := context.WithTimeout(b.ctx, b.Patience)
	defer cancel()
	err := b.Events(ctx, "w", 1, func(e sdk.Event) error {
		event = e
		return errStopStream
	})
	switch {
	case event.Kind == sdk.EventStopped, event.Kind == sdk.EventChanged && event.Index >= 0 && event.Index < 3:
	default:
		b.errorf("the event is %+v (%v)", event, err)
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
	b.start(2, waitForGo+`echo last output; exit 7`)
	b.writeGoFile()
	if end := b.eventLog(b.Client); end.Exit.Code != 7 && end.Exit.Code != -1 {
		b.errorf("it ended with code 7, and the event has code %d", end.Exit.Code)
	}
}

func checkEndedBeforeEvents(b *fixture) {
	b.mustStart(b.request("w", 1, `exit 0`))
	b.eventLog(b.Client)
	b.noError("Stop", b.Stop(b.ctx, "w"))
}
