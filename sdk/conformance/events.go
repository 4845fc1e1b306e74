package conformance

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ipcore/ipcore/sdk"
)

// errStopStream ends a stream of events from within its callback.
var errStopStream = errors.New("stop the stream")

var eventChecks = []Check{{
	Name: "events-order", run: func(b *fixture) { b.start(2, sleeper); b.stop(); b.eventLog(b.Client) },
	Want: "events are numbered from 1, the first is running and the last stopped, each once; then the stream ends",
}, {
	Name: "events-resume", run: checkEventsResume,
	Want: "a stream after a number has the remaining events, and none after the last",
}, {
	Name: "events-many", run: checkEventsMany,
	Want: "each of 50 streams of one id has all events, and the plugin answers meanwhile",
}, {
	Name: "events-cancel", run: checkEventsCancel,
	Want: "a canceled stream does not affect others",
}}

func checkEventsResume(b *fixture) {
	b.start(2, sleeper)
	b.stop()
	all := b.events(b.Client, 0)
	b.checkEvents(all)
	for after := range uint64(len(all)) {
		if rest := b.events(b.Client, after); len(rest) != len(all)-int(after) || rest[0].Seq != after+1 {
			b.errorf("after event %d of %s the stream has %s", after, eventsText(all), eventsText(rest))
		}
	}
	if rest := b.events(b.Client, uint64(len(all))+5); len(rest) > 0 {
		b.errorf("after the last event the stream has %s", eventsText(rest))
	}
}

func checkEventsMany(b *fixture) {
	const streams = 50
	b.start(2, sleeper)
	var group, opened sync.WaitGroup
	logs := make([][]sdk.Event, streams)
	errs := make([]error, streams)
	opened.Add(streams)
	for i := range streams {
		group.Go(func() {
			var once sync.Once
			defer once.Do(opened.Done)
			ctx, cancel := context.WithTimeout(b.ctx, 2*b.Patience)
			defer cancel()
			errs[i] = b.Events(ctx, "w", 0, func(e sdk.Event) error {
				once.Do(opened.Done)
				logs[i] = append(logs[i], e)
				return nil
			})
		})
	}
	opened.Wait() // every stream has the event "running"
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	b.noError("health with 50 streams open", b.Ping(ctx))
	b.noError("Stop", b.Stop(b.ctx, "w"))
	group.Wait()
	for i := range streams {
		if errs[i] != nil {
			b.fatalf("stream %d: %v", i, errs[i])
		}
		b.checkEvents(logs[i])
	}
}

func checkEventsCancel(b *fixture) {
	b.start(1, sleeper)
	ctx, cancel := context.WithCancel(b.ctx)
	err := b.Events(ctx, "w", 0, func(sdk.Event) error { cancel(); return nil })
	b.wantError("a canceled stream", err, context.Canceled)
	b.stop()
	b.eventLog(b.Client)
}

var detachChecks = []Check{{
	Name: "detach", run: checkDetach,
	Want: "Detach ends the streams, frees the id and leaves the workload running, and FromDict finds it again",
}}

func checkDetach(b *fixture) {
	state := b.start(2, sleeper)
	ended := make(chan error, 1)
	go func() { ended <- b.Events(b.ctx, "w", 0, func(sdk.Event) error { return nil }) }()
	b.noError("Detach", b.Detach(b.ctx, "w"))
	select {
	case err := <-ended:
		b.wantError("the stream of the detached id", err, sdk.ErrNotRunning)
	case <-time.After(b.Patience):
		b.errorf("the stream is still open %v after Detach", b.Patience)
	}
	_, err := b.ToDict(b.ctx, "w")
	b.wantError("ToDict after Detach", err, sdk.ErrNotRunning)
	b.waitAlive(b.processes(2))
	if _, err := b.FromDict(b.ctx, b.kind, "w", state); err != nil {
		b.fatalf("FromDict after Detach: %v", err)
	}
	b.stop()
}
