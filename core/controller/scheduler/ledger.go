package scheduler

import "hash/maphash"

// ledgerSize is how many finished tasks later ones can depend on.
const ledgerSize = 1 << 18

// ledger remembers how and where the latest tasks ended. It keeps 64-bit
// hashes under a random seed instead of ids: about 30 bytes a task.
type ledger struct {
	seed  maphash.Seed
	limit int
	ends  map[uint64]uint32 // engine number << 2 | outcome
	ring  []uint64          // in the order of their ends
	next  int               // the oldest entry, once ring is full
}

func newLedger(limit int) *ledger {
	return &ledger{seed: maphash.MakeSeed(), limit: limit, ends: map[uint64]uint32{}}
}

// put records the end of a task. Engine 0 means that it never ran.
func (l *ledger) put(id string, o outcome, engine uint32) {
	key := maphash.String(l.seed, id)
	if _, known := l.ends[key]; !known {
		if len(l.ring) < l.limit {
			l.ring = append(l.ring, key)
		} else {
			delete(l.ends, l.ring[l.next])
			l.ring[l.next] = key
			l.next = (l.next + 1) % l.limit
		}
	}
	l.ends[key] = engine<<2 | uint32(o)
}

// get answers how a task ended; known is false for tasks never seen or
// forgotten.
func (l *ledger) get(id string) (o outcome, engine uint32, known bool) {
	end, known := l.ends[maphash.String(l.seed, id)]
	return outcome(end & 3), end >> 2, known
}
