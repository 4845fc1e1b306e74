package db

import "hash/maphash"

// Recent remembers the last so many ids that were added, and up to twice as
// many, in bounded memory. It keeps 64-bit hashes in two generations, of which the older is forgotten as a whole, so that
// adding an id looks up and deletes nothing else.
type Recent struct {
	seed     maphash.Seed
	size     int
	now, old map[uint64]struct{}
}

// NewRecent makes a memory for size ids.
func NewRecent(size int) *Recent {
	return &Recent{seed: maphash.MakeSeed(), size: size, now: make(map[uint64]struct{})}
}

// Add remembers an id.
func (m *Recent) Add(id string) {
	if len(m.now) >= m.size {
		clear(m.old)
		m.now, m.old = m.old, m.now
		if m.now == nil {
			m.now = make(map[uint64]struct{})
		}
	}
	m.now[maphash.String(m.seed, id)] = struct{}{}
}

// Has tells whether the id is remembered.
func (m *Recent) Has(id string) bool {
	h := maphash.String(m.seed, id)
	if _, known := m.now[h]; known {
		return true
	}
	_, known := m.old[h]
	return known
}
