package conformance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ipcore/ipcore/sdk"
)

var statusChecks = []Check{{
	Name: "status", Power: sdk.CapabilityStatus, run: checkStatus,
	Want: "Status of what runs is running, with the number of engines where it is known",
}, {
	Name: "status-ended", Power: sdk.CapabilityStatus, run: checkStatusEnded,
	Want: "Status of what has ended is not running, and of an unknown id NOT_FOUND",
}, {
	Name: "status-hasty", Power: sdk.CapabilityStatus, run: checkStatusHasty,
	Want: "40 calls of Status at the same time, half of them given up at once, do no harm",
}}

func checkStatus(b *bed) {
	b.start(2, sleeper)
	var st sdk.Status
	var err error
	// What a batch system was asked before the last process began may be told once more.
	all := func() bool { return st.Running == nil || *st.Running == b.n(2) }
	b.until(func() bool {
		st, err = b.Status(b.ctx, "w")
		return err != nil || st.State == sdk.StatusRunning && all()
	}, func() string {
		if all() {
			return "Status is " + st.State
		}
		return fmt.Sprintf("Status is %s; %d processes run and it tells of %d", st.State, b.n(2), *st.Running)
	})
	b.no("Status", err)
	b.stop()
}

func checkStatusEnded(b *bed) {
	b.start(2, sleeper)
	b.stop()
	st, err := b.Status(b.ctx, "w")
	if err != nil {
		b.is("Status after the end", err, sdk.ErrNotRunning)
	} else if st.State == sdk.StatusRunning || st.State == sdk.StatusPending {
		b.errorf("Status after the end is %s", st.State)
	}
	_, err = b.Status(b.ctx, "nobody")
	b.is("Status of an unknown id", err, sdk.ErrNotRunning)
}

func checkStatusHasty(b *bed) {
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
		b.no("Status", <-errs)
	}
	b.no("health", b.Ping(b.ctx))
	b.stop()
}

var outputChecks = []Check{{
	Name: "output", Power: sdk.CapabilityOutput, run: checkOutput,
	Want: "Output shows what the workload wrote to stdout and stderr, while it runs",
}, {
	Name: "output-ended", Power: sdk.CapabilityOutput, run: checkOutputEnded,
	Want: "Output is there after the end, until it is asked for with remove",
}, {
	Name: "output-bytes", Power: sdk.CapabilityOutput, run: checkOutputBytes,
	Want: "output that is not UTF-8 and long does no harm",
}}

// output waits until the workload's output holds the words.
func (b *bed) output(words ...string) {
	var text string
	var err error
	b.until(func() bool {
		text, err = b.Output(b.ctx, "w", false)
		for _, w := range words {
			if !strings.Contains(text, w) {
				return false
			}
		}
		return err == nil
	}, func() string { return "Output is " + quote(text) + errText(err) })
}

func quote(text string) string {
	if len(text) > 200 {
		text = text[len(text)-200:]
	}
	return "\"" + strings.ToValidUTF8(text, "\uFFFD") + "\""
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return ", " + err.Error()
}

func checkOutput(b *bed) {
	b.start(2, `echo on stdout; echo on stderr >&2; `+sleeper)
	b.output("on stdout", "on stderr")
	b.stop()
}

func checkOutputEnded(b *bed) {
	b.start(1, `echo on stdout; `+untilGo)
	b.release()
	b.story(b.Client)
	b.output("on stdout")
	if text, err := b.Output(b.ctx, "w", true); err != nil || !strings.Contains(text, "on stdout") {
		b.errorf("Output with remove: %s%s", quote(text), errText(err))
	}
	if text, err := b.Output(b.ctx, "w", false); err != nil || text != "" {
		b.errorf("Output after it was removed: %s%s", quote(text), errText(err))
	}
}

func checkOutputBytes(b *bed) {
	b.start(1, `head -c 3000000 /dev/zero | tr '\0' '\377'; echo; echo the end; `+sleeper)
	b.output("the end")
	b.stop()
	b.story(b.Client)
}

var signalChecks = []Check{{
	Name: "signal", Power: sdk.CapabilitySignal, run: checkSignal,
	Want: "a signal reaches every process, by number and by name, with SIG or without, in either case",
}, {
	Name: "signal-unknown", Power: sdk.CapabilitySignal, run: checkSignalUnknown,
	Want: "a signal that there is none of is INVALID_ARGUMENT and does no harm",
}, {
	Name: "signal-kill", Power: sdk.CapabilitySignal, run: checkSignalKill,
	Want: "KILL ends the workload; a signal to what has ended is FAILED_PRECONDITION",
}}

func checkSignal(b *bed) {
	b.start(2, `trap ': >"$D/usr1.$$"' USR1; trap ': >"$D/int.$$"' INT; : >"$D/ready.$$"; while :; do sleep 0.05; done`)
	b.everywhere("ready", "the workload")
	for _, s := range []struct{ signal, file string }{{"USR1", "usr1"}, {"SIGUSR1", "usr1"}, {"usr1", "usr1"}, {"2", "int"}, {"INT", "int"}} {
		if err := b.Signal(b.ctx, "w", s.signal); err != nil {
			b.errorf("Signal %s: %v", s.signal, err)
			continue
		}
		b.everywhere(s.file, s.signal)
	}
	b.stop()
}

// everywhere waits for a file of each process and removes them.
func (b *bed) everywhere(file, what string) {
	var files []string
	b.until(func() bool {
		var err error
		files, err = filepath.Glob(filepath.Join(b.dir, file+".*"))
		return err == nil && len(files) == b.n(2)
	}, func() string { return what + " has not arrived everywhere" })
	for _, f := range files {
		b.no("remove a file", os.Remove(f))
	}
}

func checkSignalUnknown(b *bed) {
	b.start(1, sleeper)
	for _, s := range []string{"SIGNONSENSE", "", "-9", "KILL; id", "100000"} {
		b.is("Signal "+quote(s), b.Signal(b.ctx, "w", s), sdk.ErrBadOption)
	}
	b.waitAlive(1)
	b.stop()
}

func checkSignalKill(b *bed) {
	b.start(2, `trap "" TERM; `+sleeper)
	b.no("Signal KILL", b.Signal(b.ctx, "w", "KILL"))
	b.story(b.Client)
	b.noneAlive("after stopped was told")
	b.is("Signal to what has ended", b.Signal(b.ctx, "w", "KILL"), sdk.ErrProcessState)
}

var powerChecks = []Check{{
	Name: "powers-undeclared", run: checkUndeclared,
	Want: "a power that is not declared is UNIMPLEMENTED",
}, {
	Name: "connection-info", Power: sdk.CapabilityConnectionInfo, run: checkConnectionInfo,
	Want: "ConnectionInfo of a controller that ended before it wrote its files is FAILED_PRECONDITION, and comes in time",
}}

func checkUndeclared(b *bed) {
	b.start(1, sleeper)
	for power, call := range map[sdk.Capability]func() error{
		sdk.CapabilitySignal:         func() error { return b.Signal(b.ctx, "w", "0") },
		sdk.CapabilityOutput:         func() error { _, err := b.Output(b.ctx, "w", false); return err },
		sdk.CapabilityConnectionInfo: func() error { _, err := b.ConnectionInfo(b.ctx, "w"); return err },
		sdk.CapabilityStatus:         func() error { _, err := b.Status(b.ctx, "w"); return err },
		sdk.CapabilityScript:         func() error { _, err := b.Script(b.ctx, b.request("s", 1, sleeper), false); return err },
		sdk.CapabilityOrphans:        func() error { _, err := b.Orphans(b.ctx, sdk.OrphanQuery{Tag: b.tag}); return err },
	} {
		if !b.Info.Has(power) {
			b.is(string(power), call(), sdk.ErrUnsupported)
		}
	}
	b.stop()
}

func checkConnectionInfo(b *bed) {
	if b.kind != sdk.Controller {
		b.na("it is about controllers")
	}
	b.start(1, untilGo)
	b.release()
	ctx, cancel := context.WithTimeout(b.ctx, b.Patience+5*time.Second)
	defer cancel()
	_, err := b.ConnectionInfo(ctx, "w")
	b.is("ConnectionInfo", err, sdk.ErrProcessState)
}
