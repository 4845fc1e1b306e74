package scheduler

import (
	"math/rand/v2"
	"slices"
)

// pool holds the engines that have room, arranged so that the scheme's choice
// among all of them costs at most O(log engines).
type pool interface {
	add(e *engine)
	remove(e *engine)
	changed(e *engine) // e's load or last use changed
	pick() *engine     // the scheme's choice, nil when the pool is empty
	all() []*engine    // in no order; not to be changed
}

func newPool(scheme string, rng *rand.Rand) pool {
	switch scheme {
	case "lru":
		return newOrdered(func(a, b *engine) bool { return a.used < b.used })
	case "plainrandom":
		return &drawn{rng: rng, choose: func(d *drawn) *engine { return d.uniform() }}
	case "twobin":
		return &drawn{rng: rng, choose: (*drawn).older}
	case "weighted":
		return &drawn{rng: rng, choose: (*drawn).lighter, weighted: true}
	default:
		return newOrdered(func(a, b *engine) bool {
			return a.load < b.load || a.load == b.load && a.used < b.used
		})
	}
}

// ordered serves the schemes that take the first engine of some order.
type ordered struct{ heap heap[*engine] }

func newOrdered(less func(a, b *engine) bool) *ordered {
	return &ordered{heap[*engine]{less: less, place: func(e *engine, i int) { e.slot = i }}}
}

func (o *ordered) add(e *engine)     { o.heap.push(e) }
func (o *ordered) remove(e *engine)  { o.heap.remove(e.slot) }
func (o *ordered) changed(e *engine) { o.heap.fix(e.slot) }
func (o *ordered) all() []*engine    { return o.heap.items }

func (o *ordered) pick() *engine {
	if o.heap.len() == 0 {
		return nil
	}
	return o.heap.head()
}

// drawn serves the schemes that draw lots.
type drawn struct {
	rng      *rand.Rand
	engines  []*engine
	choose   func(*drawn) *engine
	weighted bool
	sums     []float64 // a binary tree: sums[size+i] is the weight of engines[i]
	size     int       // leaves of the tree, a power of two
}

func (d *drawn) all() []*engine { return d.engines }

func (d *drawn) pick() *engine {
	if len(d.engines) == 0 {
		return nil
	}
	return d.choose(d)
}

func (d *drawn) add(e *engine) {
	e.slot = len(d.engines)
	d.engines = append(d.engines, e)
	d.weigh(e.slot)
}

func (d *drawn) remove(e *engine) {
	i, last := e.slot, len(d.engines)-1
	d.engines[i] = d.engines[last]
	d.engines[i].slot = i
	d.engines[last] = nil
	d.engines = d.engines[:last]
	e.slot = -1
	d.weigh(i)
	d.weigh(last)
}

func (d *drawn) changed(e *engine) { d.weigh(e.slot) }

// weigh brings the tree up to date with slot i. Sums are added up anew on the
// way to the root, so no rounding error builds up.
func (d *drawn) weigh(i int) {
	if !d.weighted {
		return
	}
	if i >= d.size {
		d.size = max(16, 2*d.size)
		d.sums = make([]float64, 2*d.size)
		for j := range d.engines {
			d.weigh(j)
		}
		return
	}
	w := 0.0
	if i < len(d.engines) {
		w = weight(d.engines[i].load)
	}
	n := d.size + i
	d.sums[n] = w
	for n /= 2; n > 0; n /= 2 {
		d.sums[n] = d.sums[2*n] + d.sums[2*n+1]
	}
}

func (d *drawn) uniform() *engine { return d.engines[d.rng.IntN(len(d.engines))] }

// older is TwoBin over the pool.
func (d *drawn) older() *engine {
	first, second := d.uniform(), d.uniform()
	if second.used < first.used {
		return second
	}
	return first
}

// lighter is Weighted over the pool.
func (d *drawn) lighter() *engine {
	first, second := d.byWeight(), d.byWeight()
	if second.load < first.load {
		return second
	}
	return first
}

func (d *drawn) byWeight() *engine {
	x := d.rng.Float64() * d.sums[1]
	n := 1
	for n < d.size {
		n *= 2
		if x >= d.sums[n] && d.sums[n+1] > 0 {
			x -= d.sums[n]
			n++
		}
	}
	return d.engines[min(n-d.size, len(d.engines)-1)]
}

// choose applies the plain scheme to a task's own candidates.
func choose(scheme Scheme, candidates []*engine, rng *rand.Rand) *engine {
	slices.SortFunc(candidates, func(a, b *engine) int {
		if a.used < b.used {
			return -1
		}
		return 1
	})
	loads := make([]int, len(candidates))
	for i, e := range candidates {
		loads[i] = e.load
	}
	return candidates[scheme(loads, rng)]
}
