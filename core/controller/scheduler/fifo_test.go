package scheduler

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestFIFO compares a fifo with a sorted list while tasks are added and removed at
// random.
func TestFIFO(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		l := newFIFO()
		var inside, outside []*task
		arrivals := uint64(0)
		for range 2000 {
			switch k := rng.IntN(10); {
			case k < 4:
				arrivals++
				x := &task{arrival: arrivals}
				l.push(x)
				inside = append(inside, x)
			case k < 5 && len(outside) > 0: // a task that is added again
				x := outside[0]
				outside = outside[1:]
				l.push(x)
				i, _ := slices.BinarySearchFunc(inside, x, func(a, b *task) int { return int(int64(a.arrival) - int64(b.arrival)) })
				inside = slices.Insert(inside, i, x)
			case len(inside) > 0:
				i := 0
				if k < 7 {
					i = rng.IntN(len(inside))
				}
				l.remove(inside[i])
				outside = append(outside, inside[i])
				inside = slices.Delete(inside, i, i+1)
			}
			if l.len() != len(inside) || len(inside) > 0 && l.first() != inside[0] {
				t.Fatalf("seed %d: %d tasks, want %d, or another one is first", seed, l.len(), len(inside))
			}
		}
		all := l.all()
		slices.SortFunc(all, func(a, b *task) int { return int(int64(a.arrival) - int64(b.arrival)) })
		if !slices.Equal(all, inside) {
			t.Fatalf("seed %d: wrong tasks", seed)
		}
	}
}
