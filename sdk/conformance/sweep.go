package conformance

import (
	"errors"

	"github.com/ipcore/ipcore/sdk"
)

var scriptChecks = []Check{{
	Name: "script", Power: sdk.CapabilityScript, run: checkScript,
	Want: "Script answers what Start would submit, and starts nothing",
}, {
	Name: "script-check", Power: sdk.CapabilityScript, run: checkScriptCheck,
	Want: "asked whether the system would take it, it answers, or says that it can't be asked; a request that Start refuses is refused",
}}

func checkScript(b *bed) {
	s, err := b.Script(b.ctx, b.request("w", 2, sleeper), false)
	b.no("Script", err)
	if err == nil && s.Text == "" && s.Command == "" {
		b.errorf("it is empty")
	}
	b.nothingStarted()
}

func (b *bed) nothingStarted() {
	if all, _ := b.pids(); len(all) > 0 {
		b.errorf("it started processes %v", all)
	}
	b.noneAlive("afterwards")
	_, err := b.ToDict(b.ctx, "w")
	b.is("afterwards, ToDict", err, sdk.ErrNotRunning)
}

func checkScriptCheck(b *bed) {
	r := b.request("w", 2, sleeper)
	if _, err := b.Script(b.ctx, r, true); err != nil && !errors.Is(err, sdk.ErrUnsupported) {
		b.errorf("Script with check: %v", err)
	}
	r.Options = []byte(`{"kit_unknown": 1}`)
	_, err := b.Script(b.ctx, r, false)
	b.is("Script with an unknown option", err, sdk.ErrBadOption)
	b.nothingStarted()
}

var sweepChecks = []Check{{
	Name: "sweep", Power: sdk.CapabilityOrphans, run: checkSweep,
	Want: "a plugin that knows nothing of a workload finds it by its tag, and Remove ends it",
}, {
	Name: "sweep-nothing", Power: sdk.CapabilityOrphans, run: checkSweepNothing,
	Want: "a tag that nothing carries, and a part of one that ends within a word, find nothing",
}}

// sweepFor is a question for what carries a tag.
func (b *bed) sweepFor(tag string, states ...sdk.State) sdk.OrphanQuery {
	return sdk.OrphanQuery{Tag: tag, Options: b.request("w", 1, sleeper).Options, States: states}
}

func checkSweep(b *bed) {
	state := b.leave(2)
	c := b.another()
	q := b.sweepFor(b.tag, state)
	var found []sdk.Orphan
	var err error
	b.until(func() bool {
		found, err = c.Orphans(b.ctx, q)
		return err != nil || len(found) > 0
	}, func() string { return "nothing is found" })
	b.no("Survivors", err)
	for _, s := range found {
		if s.ID == "" || s.Text == "" || s.Tag != b.tag {
			b.errorf("a survivor is %+v", s)
		}
	}
	b.no("Remove", c.RemoveOrphans(b.ctx, q, found))
	b.noneAlive("after Remove")
	b.no("Remove again", c.RemoveOrphans(b.ctx, q, found))
	if found, err = c.Orphans(b.ctx, q); err != nil || len(found) > 0 {
		b.errorf("after Remove there are %+v, %v", found, err)
	}
}

func checkSweepNothing(b *bed) {
	b.start(2, sleeper)
	for _, tag := range []string{"kit-nobody-has-this", b.tag[:len(b.tag)-2]} {
		if found, err := b.Orphans(b.ctx, b.sweepFor(tag)); err != nil || len(found) > 0 {
			b.errorf("Survivors of %s: %+v, %v", tag, found, err)
		}
	}
	b.stop()
}
