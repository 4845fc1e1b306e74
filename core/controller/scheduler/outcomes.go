package scheduler

import "hash/maphash"

// maxOutcomes is how many ended tasks later ones can depend on.
const maxOutcomes = 1 << 18

// outcomes remembers how and where the latest tasks ended. It keeps 64-bit hashes
// with a random seed instead of ids: about 30 bytes a task.
type outcomes struct {
	seed   maphash.Seed
	limit  int
	byHash map[uint64]uint32 // engine number << 2 | outcome
	ring   []uint64          // in the order of their ends
	next   int               // index of the oldest entry, once ring is full
}

func newOutcomes(limit int) *outcomes {
	return &outcomes{seed: maphash.MakeSeed(), limit: limit, byHash: map[uint64]uint32{}}
}

// put records the end of a task. Engine 0 means that it never ran.
func (l *outcomes) put(id string, o outcome, engine uint32) {
	key := maphash.String(l.seed, id)
	if _, known := l.byHash[key]; !known {
		if len(l.ring) < l.limit {
			l.ring = append(l.ring, key)
		} else {
			delete(l.byHash, l.ring[l.next])
			l.ring[l.next] = key
			l.next = (l.next + 1) % l.limit
		}
	}
	l.byHash[key] = engine<<2 | uint32(o)
}

// get returns how a task ended; known is false for tasks that never ended or are
// forgotten.
func (l *outcomes) get(id string) (o outcome, engine uint32, known bool) {
	end, known := l.byHash[maphash.String(l.seed, id)]
	return outcome(end & 3), end >> 2, known
}
