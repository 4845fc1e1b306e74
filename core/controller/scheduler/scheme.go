package scheduler

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Scheme chooses one of the engines that may take a task. loads holds the number of
// tasks outstanding on each engine, least recently used engine first, and is not
// empty. The result is an index of loads.
type Scheme func(loads []int, rng *rand.Rand) int

// DefaultScheme is used when no scheme is named.
const DefaultScheme = "leastload"

var schemes = map[string]Scheme{
	"leastload":   LeastLoad,
	"lru":         LRU,
	"plainrandom": PlainRandom,
	"twobin":      TwoBin,
	"weighted":    Weighted,
}

// SchemeNames returns the names that Options.Scheme accepts.
func SchemeNames() []string {
	return []string{"leastload", "lru", "plainrandom", "twobin", "weighted"}
}

// CheckScheme returns an error unless name is a scheme or "", the default.
func CheckScheme(name string) error {
	if name == "" || schemes[name] != nil {
		return nil
	}
	return fmt.Errorf("scheduler: unknown scheme %q: use one of %s, pure", name, strings.Join(SchemeNames(), ", "))
}

// LeastLoad takes the engine with the least load; among equals, the least recently
// used.
func LeastLoad(loads []int, _ *rand.Rand) int {
	best := 0
	for i, load := range loads {
		if load < loads[best] {
			best = i
		}
	}
	return best
}

// LRU takes the least recently used engine, whatever its load.
func LRU([]int, *rand.Rand) int { return 0 }

// PlainRandom takes any engine with equal probability.
func PlainRandom(loads []int, rng *rand.Rand) int { return rng.IntN(len(loads)) }

// TwoBin draws two engines at random and takes the less recently used one.
func TwoBin(loads []int, rng *rand.Rand) int {
	return min(rng.IntN(len(loads)), rng.IntN(len(loads)))
}

// Weighted draws two engines at random, idle ones far more likely, and takes the
// one with less load; if both are equal, the one drawn first.
func Weighted(loads []int, rng *rand.Rand) int {
	total := 0.0
	for _, load := range loads {
		total += weight(load)
	}
	draw := func() int {
		x := rng.Float64() * total
		for i, load := range loads {
			if x -= weight(load); x < 0 {
				return i
			}
		}
		return len(loads) - 1
	}
	first, second := draw(), draw()
	if loads[second] < loads[first] {
		return second
	}
	return first
}

// weight is proportional to the probability with which Weighted draws an engine of
// this load.
func weight(load int) float64 { return 1 / (1e-6 + float64(load)) }
