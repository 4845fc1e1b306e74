package conformance

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/ipcore/ipcore/sdk"
)

// errStopStream ends a stream of events from within its callback.
var errStopStream = errors.New("enough")

var eventChecks = []Check{{
	Name: "events-order", run: func(b *fixture) { b.start(2, sleeper); b.stop(); b.eventLog(b.Client) },
	Want: "events are numbered from 1, begin with running, and end with stopped, told once; then the stream ends",
}, {
	Name: "events-resume", run: checkEventsResume,
	Want: "events after a number are the rest, and none after the last",
}, {
	Name: "events-many", run: checkEventsMany,
	Want: "50 streams of one id are told everything each, and the plugin answers meanwhile",
}, {
	Name: "events-cancel", run: checkEventsCancel,
	Want: "a caller that cancels its stream does no harm",
}}

func checkEventsResume(b *fixture) {
	b.start(2, sleeper)
	b.stop()
	all := b.events(b.Client, 0)
	b.checkEvents(all)
	for after := range uint64(len(all)) {
		if rest := b.events(b.Client, after); len(rest) != len(all)-int(after) || rest[0].Seq != after+1 {
			b.errorf("after %d of %s came %s", after, eventsText(all), eventsText(rest))
		}
	}
	if rest := b.events(b.Client, uint64(len(all))+5); len(rest) > 0 {
		b.errorf("after the last came %s", eventsText(rest))
	}
}

func checkEventsMany(b *fixture) {
	const streams = 50
	b.start(2, sleeper)
	var group, opened sync.WaitGroup
	stories := make([][]sdk.Event, streams)
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
				stories[i] = append(stories[i], e)
				return nil
			})
		})
	}
	opened.Wait() // every stream has brought "running"
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	b.noError("health with 50 streams open", b.Ping(ctx))
	b.noError("Stop", b.Stop(b.ctx, "w"))
	group.Wait()
	for i := range streams {
		if errs[i] != nil {
			b.fatalf("stream %d: %v", i, errs[i])
		}
		b.checkEvents(stories[i])
	}
}

func checkEventsCancel(b *fixture) {
	b.start(1, sleeper)
	ctx, cancel := context.WithCancel(b.ctx)
	err := b.Events(ctx, "w", 0, func(sdk.Event) error { cancel(); return nil })
	b.wantError("a cancelled stream", err, context.Canceled)
	b.stop()
	b.eventLog(b.Client)
}

var detachChecks = []Check{{
	Name: "detach", run: checkDetach,
	Want: "Detach ends the streams, frees the id and leaves the workload, which FromDict finds again",
}}

func checkDetach(b *fixture) {
	state := b.start(2, sleeper)
	story := make(chan error, 1)
	go func() { story <- b.Events(b.ctx, "w", 0, func(sdk.Event) error { return nil }) }()
	b.noError("Detach", b.Detach(b.ctx, "w"))
	select {
	case err := <-story:
		b.wantError("the stream of what was detached", err, sdk.ErrNotRunning)
	case <-time.After(b.Patience):
		b.errorf("the stream is open %v after Detach", b.Patience)
	}
	_, err := b.ToDict(b.ctx, "w")
	b.wantError("ToDict after Detach", err, sdk.ErrNotRunning)
	b.waitAlive(b.processes(2))
	if _, err := b.FromDict(b.ctx, b.kind, "w", state); err != nil {
		b.fatalf("FromDict after Detach: %v", err)
	}
	b.stop()
}
