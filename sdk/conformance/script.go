package conformance

import (
	"errors"

	"github.com/ipcore/ipcore/sdk"
)

var scriptChecks = []Check{{
	Name: "script", Capability: sdk.CapabilityScript, run: checkScript,
	Want: "Script returns what Start would submit, and starts nothing",
}, {
	Name: "script-check", Capability: sdk.CapabilityScript, run: checkScriptCheck,
	Want: "with check, Script returns the system's answer or is UNIMPLEMENTED; a request that Start refuses is refused",
}}

func checkScript(b *fixture) {
	s, err := b.Script(b.ctx, b.request("w", 2, sleeper), false)
	b.noError("Script", err)
	if err == nil && s.Text == "" && s.Command == "" {
		b.errorf("Script is empty")
	}
	b.nothingStarted()
}

// nothingStarted fails the check if a process or an id exists.
func (b *fixture) nothingStarted() {
	if all, _ := b.pids(); len(all) > 0 {
		b.errorf("it started processes %v", all)
	}
	b.noneAlive("afterwards")
	_, err := b.ToDict(b.ctx, "w")
	b.wantError("afterwards, ToDict", err, sdk.ErrNotRunning)
}

func checkScriptCheck(b *fixture) {
	r := b.request("w", 2, sleeper)
	if _, err := b.Script(b.ctx, r, true); err != nil && !errors.Is(err, sdk.ErrUnsupported) {
		b.errorf("Script with check: %v", err)
	}
	r.Options = []byte(`{"check_unknown": 1}`)
	_, err := b.Script(b.ctx, r, false)
	b.wantError("Script with an unknown option", err, sdk.ErrBadOption)
	b.nothingStarted()
}
