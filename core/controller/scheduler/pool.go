package scheduler

import (
	"math/rand/v2"
	"slices"
)

// pool holds the engines that have capacity, in a structure in which the scheme's
// choice among all of them costs at most O(log engines).
type pool interface {
	add(e *engine)
	remove(e *engine)
	changed(e *engine) // e's load or last use has changed
	pick() *engine     // the scheme's choice, nil when the pool is empty
	all() []*engine    // in no particular order; the caller must not change the slice
}

func newPool(scheme string, rng *rand.Rand) pool {
	switch scheme {
	case "lru":
		return newOrderedPool(func(a, b *engine) bool { return a.lastUse < b.lastUse })
	case "plainrandom":
		return &randomPool{rng: rng, choose: func(d *randomPool) *engine { return d.drawUniform() }}
	case "twobin":
		return &randomPool{rng: rng, choose: (*randomPool).pickTwoBin}
	case "weighted":
		return &randomPool{rng: rng, choose: (*randomPool).pickWeighted, weighted: true}
	default:
		return newOrderedPool(func(a, b *engine) bool {
			return a.load < b.load || a.load == b.load && a.lastUse < b.lastUse
		})
	}
}

// orderedPool is for the schemes that take the first engine in some order.
type orderedPool struct{ heap heap[*engine] }

func newOrderedPool(less func(a, b *engine) bool) *orderedPool {
	return &orderedPool{heap[*engine]{less: less, setIndex: func(e *engine, i int) { e.poolIndex = i }}}
}

func (o *orderedPool) add(e *engine)     { o.heap.push(e) }
func (o *orderedPool) remove(e *engine)  { o.heap.remove(e.poolIndex) }
func (o *orderedPool) changed(e *engine) { o.heap.fix(e.poolIndex) }
func (o *orderedPool) all() []*engine    { return o.heap.items }

func (o *orderedPool) pick() *engine {
	if o.heap.len() == 0 {
		return nil
	}
	return o.heap.head()
}

// randomPool is for the schemes that draw engines at random.
type randomPool struct {
	rng      *rand.Rand
	engines  []*engine
	choose   func(*randomPool) *engine
	weighted bool
	sums     []float64 // a binary tree: sums[size+i] is the weight of engines[i]
	size     int       // number of leaves of the tree, a power of two
}

func (d *randomPool) all() []*engine { return d.engines }

func (d *randomPool) pick() *engine {
	if len(d.engines) == 0 {
		return nil
	}
	return d.choose(d)
}

func (d *randomPool) add(e *engine) {
	e.poolIndex = len(d.engines)
	d.engines = append(d.engines, e)
	d.updateWeight(e.poolIndex)
}

func (d *randomPool) remove(e *engine) {
	i, last := e.poolIndex, len(d.engines)-1
	d.engines[i] = d.engines[last]
	d.engines[i].poolIndex = i
	d.engines[last] = nil
	d.engines = d.engines[:last]
	e.poolIndex = -1
	d.updateWeight(i)
	d.updateWeight(last)
}

func (d *randomPool) changed(e *engine) { d.updateWeight(e.poolIndex) }

// updateWeight brings the tree up to date with the engine at index i. It adds the
// sums up anew on the way to the root, so no rounding error accumulates.
func (d *randomPool) updateWeight(i int) {
	if !d.weighted {
		return
	}
	if i >= d.size {
		d.size = max(16, 2*d.size)
		d.sums = make([]float64, 2*d.size)
		for j := range d.engines {
			d.updateWeight(j)
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

func (d *randomPool) drawUniform() *engine { return d.engines[d.rng.IntN(len(d.engines))] }

// pickTwoBin is TwoBin for the pool.
func (d *randomPool) pickTwoBin() *engine {
	first, second := d.drawUniform(), d.drawUniform()
	if second.lastUse < first.lastUse {
		return second
	}
	return first
}

// pickWeighted is Weighted for the pool.
func (d *randomPool) pickWeighted() *engine {
	first, second := d.drawByWeight(), d.drawByWeight()
	if second.load < first.load {
		return second
	}
	return first
}

func (d *randomPool) drawByWeight() *engine {
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

// choose applies a scheme to the candidates of one task.
func choose(scheme Scheme, candidates []*engine, rng *rand.Rand) *engine {
	slices.SortFunc(candidates, func(a, b *engine) int {
		if a.lastUse < b.lastUse {
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
