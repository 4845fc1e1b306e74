package db

import "hash/maphash"

// Recent remembers the last so many ids that were added, in bounded memory.
// It keeps 64-bit hashes of them.
type Recent struct {
	seed maphash.Seed
	set  map[uint64]struct{}
	ring []uint64
	next int
	size int
}

// NewRecent makes a memory for size ids.
func NewRecent(size int) *Recent {
	return &Recent{seed: maphash.MakeSeed(), set: make(map[uint64]struct{}), size: size}
}

// Add remembers an id.
func (m *Recent) Add(id string) {
	h := maphash.String(m.seed, id)
	if _, known := m.set[h]; known {
		return
	}
	m.set[h] = struct{}{}
	if len(m.ring) < m.size {
		m.ring = append(m.ring, h)
		return
	}
	delete(m.set, m.ring[m.next])
	m.ring[m.next] = h
	m.next = (m.next + 1) % m.size
}

// Has tells whether the id is remembered.
func (m *Recent) Has(id string) bool {
	_, known := m.set[maphash.String(m.seed, id)]
	return known
}
