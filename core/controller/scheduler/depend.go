package scheduler

import (
	"slices"

	"github.com/ipcore/ipcore/core/wire"
)

// outcome is how a task ended, as far as the scheduler knows.
type outcome uint8

const (
	pending   outcome = iota // submitted, not ended
	completed                // ended without an error
	failed                   // ended with an error
)

// satisfies reports whether an ended task counts for the dependency; otherwise it
// counts against it.
func satisfies(d *wire.Dependency, o outcome) bool {
	return o == completed && d.Success || o == failed && d.Failure
}

// progress counts tasks towards a dependency as they end, so that each end costs
// O(1) however many ids the dependency has. The nil progress is fulfilled.
type progress struct {
	wire.Dependency
	satisfied, blocked int // ended ids that count for it, against it
}

// newProgress returns nil for a dependency without ids.
func newProgress(d wire.Dependency) *progress {
	if d.Empty() {
		return nil
	}
	slices.Sort(d.IDs)
	d.IDs = slices.Compact(d.IDs)
	return &progress{Dependency: d}
}

func (p *progress) count(o outcome) {
	if satisfies(&p.Dependency, o) {
		p.satisfied++
	} else {
		p.blocked++
	}
}

func (p *progress) fulfilled() bool {
	switch {
	case p == nil:
		return true
	case p.All:
		return p.satisfied == len(p.IDs)
	}
	return p.satisfied > 0
}

func (p *progress) unsatisfiable() bool {
	switch {
	case p == nil:
		return false
	case p.All:
		return p.blocked > 0
	}
	return p.blocked == len(p.IDs)
}
