package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/ipcore/ipcore/sdk"
)

var errEnough = errors.New("enough")

var restoreChecks = []Check{{
	Name: "restore", run: checkRestore,
	Want: "a new plugin finds the workload with the state of Start, tells its story, and ends it",
}, {
	Name: "restore-again", run: checkRestoreAgain,
	Want: "FromDict of what is held succeeds and changes nothing, and the state that it answers is as good as the first",
}, {
	Name: "restore-two", run: checkRestoreTwo,
	Want: "of two plugins that hold a workload, one notices that the other ended it",
}, {
	Name: "restore-fewer", Sets: true, run: checkRestoreFewer,
	Want: "a set that lost an engine meanwhile is found with the others, or is NOT_FOUND where all end with one",
}, {
	Name: "restore-ended", run: checkRestoreEnded,
	Want: "FromDict of what has ended is NOT_FOUND, in the plugin that ended it and in a new one",
}, {
	Name: "restore-lost", run: checkRestoreLost,
	Want: "FromDict of what was killed from outside while no plugin was there is NOT_FOUND",
}, {
	Name: "restore-newer", run: checkRestoreNewer,
	Want: "a state carries its version; one of a version from the future is refused, and not as NOT_FOUND",
}, {
	Name: "restore-nonsense", run: checkRestoreNonsense,
	Want: "a state that is no JSON object is refused, and not as NOT_FOUND, which would drop it",
}, {
	Name: "restore-foreign", run: checkRestoreForeign,
	Want: "a JSON object that is nobody's state is refused",
}, {
	Name: "restore-kind", run: checkRestoreKind,
	Want: "FromDict of a kind that it does not describe is INVALID_ARGUMENT",
}}

// leave starts a workload of n and lets its plugin go.
func (b *bed) leave(n int) sdk.State {
	state := b.start(n, sleeper)
	if _, err := b.ToDict(b.ctx, "w"); err != nil { // the host has the state
		b.errorf("ToDict: %v", err)
	}
	b.plugin.Close()
	b.waitAlive(b.n(n))
	return state
}

// restore takes the workload up in a new plugin, which is the check's from now on.
func (b *bed) restore(state sdk.State) sdk.State {
	b.plugin = b.open()
	b.Client = b.plugin.Client()
	b.later(b.endLeft)
	again, err := b.FromDict(b.ctx, b.kind, "w", state)
	if err != nil {
		b.fatalf("FromDict: %v", err)
	}
	return again
}

func checkRestore(b *bed) {
	b.restore(b.leave(3))
	b.stop()
	b.story(b.Client)
}

func checkRestoreAgain(b *bed) {
	state := b.leave(2)
	again := b.restore(state)
	if _, err := b.FromDict(b.ctx, b.kind, "w", state); err != nil {
		b.errorf("FromDict of what is held: %v", err)
	}
	if _, err := b.another().FromDict(b.ctx, b.kind, "w", again); err != nil {
		b.errorf("FromDict of the state that FromDict answered: %v", err)
	}
	b.waitAlive(b.n(2))
	b.stop()
}

func checkRestoreTwo(b *bed) {
	state := b.leave(2)
	b.restore(state)
	other := b.another()
	if _, err := other.FromDict(b.ctx, b.kind, "w", state); err != nil {
		b.fatalf("FromDict in the second plugin: %v", err)
	}
	b.stop()
	b.story(other)
}

func checkRestoreFewer(b *bed) {
	state := b.leave(3)
	_, alive := b.pids()
	b.kill(alive[0])
	b.plugin = b.open()
	b.Client = b.plugin.Client()
	b.later(b.endLeft)
	_, err := b.FromDict(b.ctx, b.kind, "w", state)
	if errors.Is(err, sdk.ErrNotRunning) {
		b.noneAlive("after NOT_FOUND")
		return
	}
	if err != nil {
		b.fatalf("FromDict: %v", err)
	}
	b.stop()
}

func checkRestoreEnded(b *bed) {
	state := b.start(2, sleeper)
	b.stop()
	_, err := b.FromDict(b.ctx, b.kind, "w", state)
	b.is("FromDict in the plugin that ended it", err, sdk.ErrNotRunning)
	c := b.another()
	_, err = c.FromDict(b.ctx, b.kind, "w", state)
	b.is("FromDict in a new plugin", err, sdk.ErrNotRunning)
	_, err = c.ToDict(b.ctx, "w")
	b.is("ToDict of what could not be restored", err, sdk.ErrNotRunning)
}

func checkRestoreLost(b *bed) {
	state := b.leave(2)
	_, alive := b.pids()
	for _, pid := range alive {
		b.kill(pid)
	}
	c := b.another()
	var err error
	// A batch system may take a while to see it.
	if !b.holds(func() bool {
		_, err = c.FromDict(b.ctx, b.kind, "w", state)
		if err == nil {
			b.no("Detach", c.Detach(b.ctx, "w"))
		}
		return errors.Is(err, sdk.ErrNotRunning)
	}) {
		b.errorf("after %v FromDict answers %v", b.Patience, err)
	}
}

func checkRestoreNewer(b *bed) {
	state := b.leave(1)
	var object map[string]json.RawMessage
	if err := json.Unmarshal(state, &object); err != nil {
		b.fatalf("the state: %v", err)
	}
	if _, ok := object["version"]; !ok {
		b.errorf("the state has no version: %.200s", state)
	}
	object["version"] = json.RawMessage("9999")
	newer, err := sdk.NewState(object)
	if err != nil {
		b.fatalf("%v", err)
	}
	c := b.another()
	_, err = c.FromDict(b.ctx, b.kind, "w", newer)
	if err == nil || errors.Is(err, sdk.ErrNotRunning) {
		b.errorf("FromDict of version 9999: %v", err)
	}
	b.no("Detach", c.Detach(b.ctx, "w"))
	b.restore(state)
	b.stop()
}

func checkRestoreNonsense(b *bed) {
	for _, state := range []string{``, `null`, `[]`, `17`, `{`, "\xff\xfe", strings.Repeat("[", 100000)} {
		_, err := b.FromDict(b.ctx, b.kind, "w", sdk.State(state))
		if err == nil || errors.Is(err, sdk.ErrNotRunning) {
			b.errorf("FromDict of %.20q: %v", state, err)
		}
	}
	b.no("afterwards, health", b.Ping(b.ctx))
}

func checkRestoreForeign(b *bed) {
	for _, state := range []string{`{}`, `{"kit": [1, 2]}`, `{"version": "x", "pid": {}, "job_id": []}`} {
		if _, err := b.FromDict(b.ctx, b.kind, "w", sdk.State(state)); err == nil {
			b.errorf("FromDict of %s succeeded", state)
			b.no("Detach", b.Detach(b.ctx, "w"))
		}
	}
	b.no("afterwards, health", b.Ping(b.ctx))
}

func checkRestoreKind(b *bed) {
	_, err := b.FromDict(b.ctx, "teapot", "w", sdk.State(`{"version": 1}`))
	b.is("FromDict", err, sdk.ErrBadOption)
}

var eventChecks = []Check{{
	Name: "events-order", run: func(b *bed) { b.start(2, sleeper); b.stop(); b.story(b.Client) },
	Want: "events are numbered from 1, begin with running, and end with stopped, told once; then the stream ends",
}, {
	Name: "events-resume", run: checkResume,
	Want: "events after a number are the rest, and none after the last",
}, {
	Name: "events-many", run: checkManyStreams,
	Want: "50 streams of one id are told everything each, and the plugin answers meanwhile",
}, {
	Name: "events-cancel", run: checkCancel,
	Want: "a caller that cancels its stream does no harm",
}}

func checkResume(b *bed) {
	b.start(2, sleeper)
	b.stop()
	all := b.events(b.Client, 0)
	b.wellFormed(all)
	for after := range uint64(len(all)) {
		if rest := b.events(b.Client, after); len(rest) != len(all)-int(after) || rest[0].Seq != after+1 {
			b.errorf("after %d of %s came %s", after, told(all), told(rest))
		}
	}
	if rest := b.events(b.Client, uint64(len(all))+5); len(rest) > 0 {
		b.errorf("after the last came %s", told(rest))
	}
}

func checkManyStreams(b *bed) {
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
	b.no("health with 50 streams open", b.Ping(ctx))
	b.no("Stop", b.Stop(b.ctx, "w"))
	group.Wait()
	for i := range streams {
		if errs[i] != nil {
			b.fatalf("stream %d: %v", i, errs[i])
		}
		b.wellFormed(stories[i])
	}
}

func checkCancel(b *bed) {
	b.start(1, sleeper)
	ctx, cancel := context.WithCancel(b.ctx)
	err := b.Events(ctx, "w", 0, func(sdk.Event) error { cancel(); return nil })
	b.is("a cancelled stream", err, context.Canceled)
	b.stop()
	b.story(b.Client)
}

var detachChecks = []Check{{
	Name: "detach", run: checkDetach,
	Want: "Detach ends the streams, frees the id and leaves the workload, which FromDict finds again",
}}

func checkDetach(b *bed) {
	state := b.start(2, sleeper)
	story := make(chan error, 1)
	go func() { story <- b.Events(b.ctx, "w", 0, func(sdk.Event) error { return nil }) }()
	b.no("Detach", b.Detach(b.ctx, "w"))
	select {
	case err := <-story:
		b.is("the stream of what was detached", err, sdk.ErrNotRunning)
	case <-time.After(b.Patience):
		b.errorf("the stream is open %v after Detach", b.Patience)
	}
	_, err := b.ToDict(b.ctx, "w")
	b.is("ToDict after Detach", err, sdk.ErrNotRunning)
	b.waitAlive(b.n(2))
	if _, err := b.FromDict(b.ctx, b.kind, "w", state); err != nil {
		b.fatalf("FromDict after Detach: %v", err)
	}
	b.stop()
}
