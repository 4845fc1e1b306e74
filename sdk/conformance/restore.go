package conformance

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/ipcore/ipcore/sdk"
)

var restoreChecks = []Check{{
	Name: "restore", run: checkRestore,
	Want: "a new plugin finds the workload with the state of Start, tells its story, and ends it",
}, {
	Name: "restore-again", run: checkRestoreAgain,
	Want: "FromDict of what is held succeeds and changes nothing, and the state that it answers is as good as the first",
}, {
	Name: "restore-two-plugins", run: checkRestoreTwoPlugins,
	Want: "of two plugins that hold a workload, one notices that the other ended it",
}, {
	Name: "restore-partial", EngineSets: true, run: checkRestorePartial,
	Want: "a set that lost an engine meanwhile is found with the others, or is NOT_FOUND where all end with one",
}, {
	Name: "restore-ended", run: checkRestoreEnded,
	Want: "FromDict of what has ended is NOT_FOUND, in the plugin that ended it and in a new one",
}, {
	Name: "restore-killed", run: checkRestoreKilled,
	Want: "FromDict of what was killed from outside while no plugin was there is NOT_FOUND",
}, {
	Name: "restore-newer-version", run: checkRestoreNewerVersion,
	Want: "a state carries its version; one of a version from the future is refused, and not as NOT_FOUND",
}, {
	Name: "restore-not-json", run: checkRestoreNotJSON,
	Want: "a state that is no JSON object is refused, and not as NOT_FOUND, which would drop it",
}, {
	Name: "restore-unknown-state", run: checkRestoreUnknownState,
	Want: "a JSON object that is nobody's state is refused",
}, {
	Name: "restore-unknown-kind", run: checkRestoreUnknownKind,
	Want: "FromDict of a kind that it does not describe is INVALID_ARGUMENT",
}}

// leave starts a workload of n and lets its plugin go.
func (b *fixture) startAndClose(n int) sdk.State {
	state := b.start(n, sleeper)
	if _, err := b.ToDict(b.ctx, "w"); err != nil { // the host has the state
		b.errorf("ToDict: %v", err)
	}
	b.plugin.Close()
	b.waitAlive(b.processes(n))
	return state
}

// restore takes the workload up in a new plugin, which is the check's from now on.
func (b *fixture) restore(state sdk.State) sdk.State {
	b.usePlugin()
	again, err := b.FromDict(b.ctx, b.kind, "w", state)
	if err != nil {
		b.fatalf("FromDict: %v", err)
	}
	return again
}

func checkRestore(b *fixture) {
	b.restore(b.startAndClose(3))
	b.stop()
	b.eventLog(b.Client)
}

func checkRestoreAgain(b *fixture) {
	state := b.startAndClose(2)
	again := b.restore(state)
	if _, err := b.FromDict(b.ctx, b.kind, "w", state); err != nil {
		b.errorf("FromDict of what is held: %v", err)
	}
	if _, err := b.anotherClient().FromDict(b.ctx, b.kind, "w", again); err != nil {
		b.errorf("FromDict of the state that FromDict answered: %v", err)
	}
	b.waitAlive(b.processes(2))
	b.stop()
}

func checkRestoreTwoPlugins(b *fixture) {
	state := b.startAndClose(2)
	b.restore(state)
	other := b.anotherClient()
	if _, err := other.FromDict(b.ctx, b.kind, "w", state); err != nil {
		b.fatalf("FromDict in the second plugin: %v", err)
	}
	b.stop()
	b.eventLog(other)
}

func checkRestorePartial(b *fixture) {
	state := b.startAndClose(3)
	_, alive := b.pids()
	b.kill(alive[0])
	b.usePlugin()
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

func checkRestoreEnded(b *fixture) {
	state := b.start(2, sleeper)
	b.stop()
	_, err := b.FromDict(b.ctx, b.kind, "w", state)
	b.wantError("FromDict in the plugin that ended it", err, sdk.ErrNotRunning)
	c := b.anotherClient()
	_, err = c.FromDict(b.ctx, b.kind, "w", state)
	b.wantError("FromDict in a new plugin", err, sdk.ErrNotRunning)
	_, err = c.ToDict(b.ctx, "w")
	b.wantError("ToDict of what could not be restored", err, sdk.ErrNotRunning)
}

func checkRestoreKilled(b *fixture) {
	state := b.startAndClose(2)
	_, alive := b.pids()
	for _, pid := range alive {
		b.kill(pid)
	}
	c := b.anotherClient()
	var err error
	// A batch system may take a while to see it.
	if !b.eventually(func() bool {
		_, err = c.FromDict(b.ctx, b.kind, "w", state)
		if err == nil {
			b.noError("Detach", c.Detach(b.ctx, "w"))
		}
		return errors.Is(err, sdk.ErrNotRunning)
	}) {
		b.errorf("after %v FromDict answers %v", b.Patience, err)
	}
}

func checkRestoreNewerVersion(b *fixture) {
	state := b.startAndClose(1)
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
	c := b.anotherClient()
	_, err = c.FromDict(b.ctx, b.kind, "w", newer)
	if err == nil || errors.Is(err, sdk.ErrNotRunning) {
		b.errorf("FromDict of version 9999: %v", err)
	}
	b.noError("Detach", c.Detach(b.ctx, "w"))
	b.restore(state)
	b.stop()
}

func checkRestoreNotJSON(b *fixture) {
	for _, state := range []string{``, `null`, `[]`, `17`, `{`, "\xff\xfe", strings.Repeat("[", 100000)} {
		_, err := b.FromDict(b.ctx, b.kind, "w", sdk.State(state))
		if err == nil || errors.Is(err, sdk.ErrNotRunning) {
			b.errorf("FromDict of %.20q: %v", state, err)
		}
	}
	b.noError("afterwards, health", b.Ping(b.ctx))
}

func checkRestoreUnknownState(b *fixture) {
	for _, state := range []string{`{}`, `{"check": [1, 2]}`, `{"version": "x", "pid": {}, "job_id": []}`} {
		if _, err := b.FromDict(b.ctx, b.kind, "w", sdk.State(state)); err == nil {
			b.errorf("FromDict of %s succeeded", state)
			b.noError("Detach", b.Detach(b.ctx, "w"))
		}
	}
	b.noError("afterwards, health", b.Ping(b.ctx))
}

func checkRestoreUnknownKind(b *fixture) {
	_, err := b.FromDict(b.ctx, "teapot", "w", sdk.State(`{"version": 1}`))
	b.wantError("FromDict", err, sdk.ErrBadOption)
}
