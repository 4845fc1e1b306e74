package conformance

import (
	"context"
	"errors"
	"fmt"

	"github.com/ipcore/ipcore/sdk"
)

var statusChecks = []Check{{
	Name: "status", Capability: sdk.CapabilityStatus, run: checkStatus,
	Want: "Status of a running workload is running, with the number of engines if it is known",
}, {
	Name: "status-ended", Capability: sdk.CapabilityStatus, run: checkStatusEnded,
	Want: "Status of a workload that has ended is not running, and of an unknown id NOT_FOUND",
}, {
	Name: "status-canceled", Capability: sdk.CapabilityStatus, run: checkStatusCanceled,
	Want: "40 concurrent calls of Status, half of them canceled at once, do no harm",
}}

func checkStatus(b *fixture) {
	b.start(2, sleeper)
	var st sdk.Status
	var err error
	// The answer of a batch system from before the last process began may be returned
	// once more.
	all := func() bool { return st.Running == nil || *st.Running == b.processes(2) }
	b.waitFor(func() bool {
		st, err = b.Status(b.ctx, "w")
		return err != nil || st.State == sdk.StatusRunning && all()
	}, func() string {
		if all() {
			return "Status is " + st.State
		}
		return fmt.Sprintf("Status is %s; %d processes run, and it reports %d", st.State, b.processes(2), *st.Running)
	})
	b.noError("Status", err)
	b.stop()
}

func checkStatusEnded(b *fixture) {
	b.start(2, sleeper)
	b.stop()
	st, err := b.Status(b.ctx, "w")
	if err != nil {
		b.wantError("Status after the end", err, sdk.ErrNotRunning)
	} else if st.State == sdk.StatusRunning || st.State == sdk.StatusPending {
		b.errorf("Status after the end is %s", st.State)
	}
	_, err = b.Status(b.ctx, "nobody")
	b.wantError("Status of an unknown id", err, sdk.ErrNotRunning)
}

func checkStatusCanceled(b *fixture) {
	b.start(1, sleeper)
	errs := make(chan error)
	for i := range 40 {
		go func() {
			ctx, cancel := context.WithTimeout(b.ctx, b.Patience)
			defer cancel()
			if i%2 == 0 {
				cancel()
			}
			_, err := b.Status(ctx, "w")
			if i%2 == 0 && errors.Is(err, context.Canceled) {
				err = nil
			}
			errs <- err
		}()
	}
	for range 40 {
		b.noError("Status", <-errs)
	}
	b.noError("health", b.Ping(b.ctx))
	b.stop()
}
