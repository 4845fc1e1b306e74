package scheduler

import (
	"fmt"
	"testing"

	"github.com/ipcore/ipcore/core/wire"
)

// TestProgress ends the tasks of random dependencies in random order. At each step,
// progress has to agree with functions that look at all ids, and both with the sets
// that the protocol describes.
func TestProgress(t *testing.T) {
	rng := testRand(t)
	for range 2000 {
		d := wire.Dependency{All: rng.IntN(2) == 0, Success: rng.IntN(2) == 0, Failure: rng.IntN(2) == 0}
		for i := range rng.IntN(6) {
			d.IDs = append(d.IDs, fmt.Sprint(i))
		}
		ends := map[string]outcome{}
		end := func(id string) outcome { return ends[id] }
		p := newProgress(d)
		for _, i := range append([]int{-1}, rng.Perm(len(d.IDs))...) {
			if i >= 0 {
				o := outcome(1 + rng.IntN(2))
				ends[d.IDs[i]] = o
				p.count(o)
			}
			wantMet, wantStuck := bySets(d, ends)
			if refMet(&d, end) != wantMet || refUnsatisfiable(&d, end) != wantStuck {
				t.Fatalf("%+v with %v: fulfilled %v, unsatisfiable %v", d, ends, refMet(&d, end), refUnsatisfiable(&d, end))
			}
			if p.fulfilled() != wantMet || p.unsatisfiable() != wantStuck {
				t.Fatalf("%+v with %v: counted as fulfilled %v, unsatisfiable %v", d, ends, p.fulfilled(), p.unsatisfiable())
			}
		}
	}
}

// refMet reports whether the dependency is fulfilled. end returns how each id
// ended.
func refMet(d *wire.Dependency, end func(id string) outcome) bool {
	for _, id := range d.IDs {
		if satisfies(d, end(id)) != d.All {
			return !d.All
		}
	}
	return d.All || d.Empty()
}

// refUnsatisfiable reports whether the dependency can never be fulfilled any more.
func refUnsatisfiable(d *wire.Dependency, end func(id string) outcome) bool {
	for _, id := range d.IDs {
		o := end(id)
		if blocks := o != pending && !satisfies(d, o); blocks == d.All {
			return d.All
		}
	}
	return !d.All && !d.Empty()
}

// bySets is the protocol's definition, word for word.
func bySets(d wire.Dependency, ends map[string]outcome) (isMet, isStuck bool) {
	against, blockers := 0, 0
	for _, id := range d.IDs {
		o := ends[id]
		if o == completed && d.Success || o == failed && d.Failure {
			against++
		}
		if o == completed && !d.Success || o == failed && !d.Failure {
			blockers++
		}
	}
	n := len(d.IDs)
	if d.All {
		return against == n, n > 0 && blockers > 0
	}
	return n == 0 || against > 0, n > 0 && blockers == n
}

func TestProgressCountsAnIDOnce(t *testing.T) {
	p := newProgress(wire.Dependency{IDs: []string{"b", "a", "b"}, All: true, Success: true})
	p.count(completed)
	p.count(completed)
	if !p.fulfilled() {
		t.Fatal("an id that is listed twice is waited for twice")
	}
}

func TestOutcomesForgetTheOldest(t *testing.T) {
	l := newOutcomes(3)
	for i, id := range []string{"a", "b", "a", "c", "d"} {
		l.put(id, completed, uint32(i+1))
	}
	for id, want := range map[string]bool{"a": false, "b": true, "c": true, "d": true} {
		if _, _, known := l.get(id); known != want {
			t.Errorf("%s known: %v", id, known)
		}
	}
	if o, e, _ := l.get("d"); o != completed || e != 5 {
		t.Errorf("d ended %v on %d", o, e)
	}
	if len(l.byHash) != 3 {
		t.Errorf("%d entries", len(l.byHash))
	}
}
