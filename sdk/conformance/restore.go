package conformance

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/ipcore/ipcore/sdk"
)

var restoreChecks = []Check{{
	Name: "restore", run: checkRestore,
	Want: "a new plugin finds the workload with the state of Start, sends its events, and stops it",
}, {
	Name: "restore-again", run: checkRestoreAgain,
	Want: "FromDict of an id that is held succeeds and changes nothing, and a workload is found with the state that FromDict returned",
}, {
	Name: "restore-two-plugins", run: checkRestoreTwoPlugins,
	Want: "when two plugins hold a workload, each notices that the other stopped it",
}, {
	Name: "restore-partial", EngineSets: true, run: checkRestorePartial,
	Want: "a set that lost an engine meanwhile is found with the remaining ones, or is NOT_FOUND where all engines end with one",
}, {
	Name: "restore-ended", run: checkRestoreEnded,
	Want: "FromDict of a workload that has ended is NOT_FOUND, in the plugin that stopped it and in a new one",
}, {
	Name: "restore-killed", run: checkRestoreKilled,
	Want: "FromDict of a workload that was killed while no plugin ran is NOT_FOUND",
}, {
	Name: "restore-newer-version", run: checkRestoreNewerVersion,
	Want: "a state contains its version; a state of a later version is refused, but not as NOT_FOUND",
}, {
	Name: "restore-not-json", run: checkRestoreNotJSON,
	Want: "a state that is not a JSON object is refused, but not as NOT_FOUND, after which ipcore would forget the workload",
}, {
	Name: "restore-unknown-state", run: checkRestoreUnknownState,
	Want: "a JSON object that is not a state of the launcher is refused",
}, {
	Name: "restore-unknown-kind", run: checkRestoreUnknownKind,
	Want: "FromDict of a kind that it does not describe is INVALID_ARGUMENT",
}}

// startAndClose starts a workload of n processes and closes its plugin.
func (b *fixture) startAndClose(n int) sdk.State {
	state := b.start(n, sleeper)
	if _, err := b.ToDict(b.ctx, "w"); err != nil { // the host has the state
		b.errorf("ToDict: %v", err)
	}
	b.plugin.Close()
	b.waitAlive(b.processes(n))
	return state
}

// restore finds the workload again in a new plugin, which is the check's own from now on.
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
		b.errorf("FromDict of an id that is held: %v", err)
	}
	if _, err := b.anotherClient().FromDict(b.ctx, b.kind, "w", again); err != nil {
		b.errorf("FromDict of the state that FromDict returned: %v", err)
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
	b.wantError("FromDict in the plugin that stopped it", err, sdk.ErrNotRunning)
	c := b.anotherClient()
	_, err = c.FromDict(b.ctx, b.kind, "w", state)
	b.wantError("FromDict in a new plugin", err, sdk.ErrNotRunning)
	_, err = c.ToDict(b.ctx, "w")
	b.wantError("ToDict after the failed FromDict", err, sdk.ErrNotRunning)
}

func checkRestoreKilled(b *fixture) {
	state := b.startAndClose(2)
	_, alive := b.pids()
	for _, pid := range alive {
		b.kill(pid)
	}
	c := b.anotherClient()
	var err error
	// A batch system may take a while to notice.
	if !b.eventually(func() bool {
		_, err = c.FromDict(b.ctx, b.kind, "w", state)
		if err == nil {
			b.noError("Detach", c.Detach(b.ctx, "w"))
		}
		return errors.Is(err, sdk.ErrNotRunning)
	}) {
		b.errorf("after %v FromDict returns %v", b.Patience, err)
	}
}

func checkRestoreNewerVersion(b *fixture) {
	state := b.startAndClose(1)
	var object map[string]json.RawMessage
	if err := json.Unmarshal(state, &object); err != nil {
		b.fatalf("the state: %v", err)
	}
	if _, ok := object["version"]; !ok {
		b.errorf("the state has no key \"version\": %.200s", state)
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
