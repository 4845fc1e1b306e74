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
func fulfils(d *wire.Dependency, o outcome) bool {
	return o == completed && d.Success || o == failed && d.Failure
}

// met tells whether the dependency is fulfilled, given how each id ended.
func met(d *wire.Dependency, end func(id string) outcome) bool {
	for _, id := range d.IDs {
		if fulfils(d, end(id)) != d.All {
			return !d.All
		}
	}
	return d.All || d.Empty()
}

// unreachable tells whether it can never be fulfilled any more.
func unreachable(d *wire.Dependency, end func(id string) outcome) bool {
	for _, id := range d.IDs {
		o := end(id)
		if blocks := o != pending && !fulfils(d, o); blocks == d.All {
			return d.All
		}
	}
	return !d.All && !d.Empty()
}

// progress counts towards a dependency as tasks end, so that each end costs
// O(1) however many ids there are. It agrees with met and unreachable. The nil
// progress is met.
type progress struct {
	wire.Dependency
	met, blocked int // ended ids that count for it, against it
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

func (p *progress) ended(o outcome) {
	if fulfils(&p.Dependency, o) {
		p.met++
	} else {
		p.blocked++
	}
}

func (p *progress) fulfilled() bool {
	switch {
	case p == nil:
		return true
	case p.All:
		return p.met == len(p.IDs)
	}
	return p.met > 0
}

func (p *progress) hopeless() bool {
	switch {
	case p == nil:
		return false
	case p.All:
		return p.blocked > 0
	}
	return p.blocked == len(p.IDs)
}
