package conformance

import (
	"context"
	"time"

	"github.com/ipcore/ipcore/sdk"
)

var capabilityChecks = []Check{{
	Name: "capability-undeclared", run: checkUndeclared,
	Want: "a call of a capability that is not declared is UNIMPLEMENTED",
}, {
	Name: "connection-info", Capability: sdk.CapabilityConnectionInfo, run: checkConnectionInfo,
	Want: "ConnectionInfo of a controller that ended before it wrote its files is FAILED_PRECONDITION, without a long wait",
}}

func checkUndeclared(b *fixture) {
	b.start(1, sleeper)
	for capability, call := range map[sdk.Capability]func() error{
		sdk.CapabilitySignal:         func() error { return b.Signal(b.ctx, "w", "0") },
		sdk.CapabilityOutput:         func() error { _, err := b.Output(b.ctx, "w", false); return err },
		sdk.CapabilityConnectionInfo: func() error { _, err := b.ConnectionInfo(b.ctx, "w"); return err },
		sdk.CapabilityStatus:         func() error { _, err := b.Status(b.ctx, "w"); return err },
		sdk.CapabilityScript:         func() error { _, err := b.Script(b.ctx, b.request("s", 1, sleeper), false); return err },
		sdk.CapabilityOrphans:        func() error { _, err := b.Orphans(b.ctx, sdk.OrphanQuery{Tag: b.tag}); return err },
	} {
		if !b.Info.Has(capability) {
			b.wantError(string(capability), call(), sdk.ErrUnsupported)
		}
	}
	b.stop()
}

func checkConnectionInfo(b *fixture) {
	if b.kind != sdk.Controller {
		b.skip("the check applies to controllers only")
	}
	b.start(1, waitForGo)
	b.writeGoFile()
	ctx, cancel := context.WithTimeout(b.ctx, b.Patience+5*time.Second)
	defer cancel()
	_, err := b.ConnectionInfo(ctx, "w")
	b.wantError("ConnectionInfo", err, sdk.ErrProcessState)
}
