package scheduler

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func testRand(t testing.TB) *rand.Rand {
	t.Helper()
	return rand.New(rand.NewPCG(1, 2))
}

// TestPoolAgreesWithScheme changes each pool at random and compares it with the
// plain scheme applied to all engines of the pool: the choice has to be the same
// for a deterministic scheme, and the distribution for a random one.
func TestPoolAgreesWithScheme(t *testing.T) {
	for _, name := range SchemeNames() {
		t.Run(name, func(t *testing.T) {
			rng := testRand(t)
			p := newPool(name, rng)
			var in, out []*engine
			for i := range 12 {
				out = append(out, &engine{number: uint32(i + 1), lastUse: int64(i), poolIndex: -1})
			}
			clock := int64(100)
			for step := range 400 {
				switch n := rng.IntN(3); {
				case n == 0 && len(out) > 0:
					i := rng.IntN(len(out))
					in = append(in, out[i])
					p.add(out[i])
					out = slices.Delete(out, i, i+1)
				case n == 1 && len(in) > 0:
					i := rng.IntN(len(in))
					p.remove(in[i])
					out = append(out, in[i])
					in = slices.Delete(in, i, i+1)
				case len(in) > 0:
					e := in[rng.IntN(len(in))]
					e.load = rng.IntN(4)
					clock++
					e.lastUse = clock
					p.changed(e)
				}
				if len(in) == 0 {
					if p.pick() != nil {
						t.Fatal("an empty pool returned an engine")
					}
					continue
				}
				if name == "leastload" || name == "lru" {
					if got, want := p.pick(), choose(schemes[name], slices.Clone(in), rng); got != want {
						t.Fatalf("step %d: pool picks engine %d, the scheme %d", step, got.number, want.number)
					}
				} else if step%40 == 0 {
					sameDistribution(t, in, func() *engine { return p.pick() },
						func() *engine { return choose(schemes[name], slices.Clone(in), rng) })
				}
			}
		})
	}
}

func sameDistribution(t *testing.T, engines []*engine, a, b func() *engine) {
	t.Helper()
	const draws = 4000
	counts := map[*engine][2]float64{}
	for range draws {
		for i, f := range []func() *engine{a, b} {
			e := f()
			c := counts[e]
			c[i]++
			counts[e] = c
		}
	}
	for e, c := range counts {
		if !slices.Contains(engines, e) {
			t.Fatal("picked an engine that is not in the pool")
		}
		// Five standard deviations of the difference of two binomials.
		if limit := 5*math.Sqrt(c[0]+c[1]) + 5; math.Abs(c[0]-c[1]) > limit {
			t.Fatalf("engine with load %d was picked %v times by the pool, %v by the scheme", e.load, c[0], c[1])
		}
	}
}

func TestSchemes(t *testing.T) {
	rng := testRand(t)
	share := func(s Scheme, loads ...int) []float64 {
		counts := make([]float64, len(loads))
		for range 20000 {
			counts[s(loads, rng)] += 1.0 / 20000
		}
		return counts
	}
	near := func(name string, got []float64, want ...float64) {
		t.Helper()
		for i := range want {
			if math.Abs(got[i]-want[i]) > 0.02 {
				t.Errorf("%s: shares %.3f, want %.3f", name, got, want)
				return
			}
		}
	}
	near("leastload", share(LeastLoad, 2, 1, 1, 3), 0, 1, 0, 0)
	near("lru", share(LRU, 5, 0), 1, 0)
	near("plainrandom", share(PlainRandom, 9, 0, 0, 0), .25, .25, .25, .25)
	near("twobin", share(TwoBin, 0, 0, 0, 0), 7./16, 5./16, 3./16, 1./16)
	near("weighted, idle ones first", share(Weighted, 1, 0, 0, 1), 0, .5, .5, 0)
	near("weighted", share(Weighted, 1, 2), 2./3+2./9, 1./9)
}

func TestCheckScheme(t *testing.T) {
	for _, name := range append(SchemeNames(), "") {
		if err := CheckScheme(name); err != nil {
			t.Error(err)
		}
	}
	if CheckScheme("mine") == nil {
		t.Error("an unknown scheme was accepted")
	}
}
