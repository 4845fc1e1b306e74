package scheduler

import (
	"slices"

	"github.com/ipcore/ipcore/core/wire"
)

// outcome is what the scheduler knows of a task's end.
type outcome uint8

const (
	pending   outcome = iota // submitted, not finished
	completed                // finished well
	failed                   // finished with an error
)

// fulfils tells whether an ended task counts for the dependency; if not, it
// counts against it.
func satisfies(d *wire.Dependency, o outcome) bool {
	return o == completed && d.Success || o == failed && d.Failure
}

// progress counts towards a dependency as tasks end, so that each end costs
// O(1) however many ids there are. It agrees with met and unreachable. The nil
// progress is met.
type progress struct {
	wire.Dependency
	satisfied, blocked int // ended ids that count for it, against it
}

// newProgress answers nil for a dependency without ids.
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
