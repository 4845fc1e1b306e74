package conformance

import (
	"github.com/ipcore/ipcore/sdk"
)

var orphanChecks = []Check{{
	Name: "orphans", Capability: sdk.CapabilityOrphans, run: checkOrphans,
	Want: "a plugin that does not hold a workload finds it by its tag, and Remove ends it",
}, {
	Name: "orphans-none", Capability: sdk.CapabilityOrphans, run: checkOrphansNone,
	Want: "a tag that nothing has, and a part of a tag that ends within a word, find nothing",
}}

// orphanQuery returns a query for a tag.
func (b *fixture) orphanQuery(tag string, states ...sdk.State) sdk.OrphanQuery {
	return sdk.OrphanQuery{Tag: tag, Options: b.request("w", 1, sleeper).Options, States: states}
}

func checkOrphans(b *fixture) {
	state := b.startAndClose(2)
	c := b.anotherClient()
	q := b.orphanQuery(b.tag, state)
	var found []sdk.Orphan
	var err error
	b.waitFor(func() bool {
		found, err = c.Orphans(b.ctx, q)
		return err != nil || len(found) > 0
	}, func() string { return "Survivors finds nothing" })
	b.noError("Survivors", err)
	for _, s := range found {
		if s.ID == "" || s.Text == "" || s.Tag != b.tag {
			b.errorf("this survivor is not complete: %+v", s)
		}
	}
	b.noError("Remove", c.RemoveOrphans(b.ctx, q, found))
	b.noneAlive("after Remove")
	b.noError("Remove again", c.RemoveOrphans(b.ctx, q, found))
	if found, err = c.Orphans(b.ctx, q); err != nil || len(found) > 0 {
		b.errorf("after Remove, Survivors returns %+v, %v", found, err)
	}
}

func checkOrphansNone(b *fixture) {
	b.start(2, sleeper)
	for _, tag := range []string{"check-nobody-has-this", b.tag[:len(b.tag)-2]} {
		if found, err := b.Orphans(b.ctx, b.orphanQuery(tag)); err != nil || len(found) > 0 {
			b.errorf("Survivors of %s: %+v, %v", tag, found, err)
		}
	}
	b.stop()
}
