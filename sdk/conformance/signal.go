package conformance

import (
	"os"
	"path/filepath"

	"github.com/ipcore/ipcore/sdk"
)

var signalChecks = []Check{{
	Name: "signal", Capability: sdk.CapabilitySignal, run: checkSignal,
	Want: "a signal reaches every process, given by number or by name, with SIG or without, in upper or lower case",
}, {
	Name: "signal-unknown", Capability: sdk.CapabilitySignal, run: checkSignalUnknown,
	Want: "a signal that does not exist is INVALID_ARGUMENT and does no harm",
}, {
	Name: "signal-kill", Capability: sdk.CapabilitySignal, run: checkSignalKill,
	Want: "KILL ends the workload; a signal to a workload that has ended is FAILED_PRECONDITION",
}}

func checkSignal(b *fixture) {
	b.start(2, `trap ': >"$D/usr1.$$"' USR1; trap ': >"$D/int.$$"' INT; : >"$D/ready.$$"; while :; do sleep 0.05; done`)
	b.waitForFiles("ready", "the workload")
	for _, s := range []struct{ signal, file string }{{"USR1", "usr1"}, {"SIGUSR1", "usr1"}, {"usr1", "usr1"}, {"2", "int"}, {"INT", "int"}} {
		if err := b.Signal(b.ctx, "w", s.signal); err != nil {
			b.errorf("Signal %s: %v", s.signal, err)
			continue
		}
		b.waitForFiles(s.file, s.signal)
	}
	b.stop()
}

// waitForFiles waits until each process has created a file, and removes the files.
func (b *fixture) waitForFiles(file, what string) {
	var files []string
	b.waitFor(func() bool {
		var err error
		files, err = filepath.Glob(filepath.Join(b.dir, file+".*"))
		return err == nil && len(files) == b.processes(2)
	}, func() string { return what + " has not reached every process" })
	for _, f := range files {
		b.noError("remove a file", os.Remove(f))
	}
}

func checkSignalUnknown(b *fixture) {
	b.start(1, sleeper)
	for _, s := range []string{"SIGNONSENSE", "", "-9", "KILL; id", "100000"} {
		b.wantError("Signal "+quoteEnd(s), b.Signal(b.ctx, "w", s), sdk.ErrBadOption)
	}
	b.waitAlive(1)
	b.stop()
}

func checkSignalKill(b *fixture) {
	b.start(2, `trap "" TERM; `+sleeper)
	b.noError("Signal KILL", b.Signal(b.ctx, "w", "KILL"))
	b.eventLog(b.Client)
	b.noneAlive("after the event stopped")
	b.wantError("Signal after the end", b.Signal(b.ctx, "w", "KILL"), sdk.ErrProcessState)
}
