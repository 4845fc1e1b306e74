package db

import (
	"hash/maphash"
	"slices"
)

// Recent remembers at least a given number of the ids that were added last, in
// bounded memory. It keeps 64-bit hashes of them in blocks. Add, which is called for
// every task, only appends; Has, which is called rarely, sorts full blocks.
type Recent struct {
	seed   maphash.Seed
	blocks int       // number of full blocks that are kept
	full   []idBlock // oldest first
	open   []uint64  // in the order they were added
}

// idBlock is blockIDs hashes.
type idBlock struct {
	ids    []uint64
	sorted bool
}

const blockIDs = 4096

// NewRecent returns a Recent for size ids.
func NewRecent(size int) *Recent {
	return &Recent{seed: maphash.MakeSeed(), blocks: (size + blockIDs - 1) / blockIDs}
}

// Add remembers an id.
func (m *Recent) Add(id string) {
	if len(m.open) == blockIDs {
		m.full = append(m.full, idBlock{ids: m.open})
		m.open = nil
		if len(m.full) > m.blocks {
			m.open = m.full[0].ids[:0]
			m.full = slices.Delete(m.full, 0, 1)
		}
	}
	m.open = append(m.open, maphash.String(m.seed, id))
}

// Has reports whether the id is remembered.
func (m *Recent) Has(id string) bool {
	h := maphash.String(m.seed, id)
	if slices.Contains(m.open, h) {
		return true
	}
	for i := len(m.full) - 1; i >= 0; i-- {
		b := &m.full[i]
		if !b.sorted {
			slices.Sort(b.ids)
			b.sorted = true
		}
		if _, found := slices.BinarySearch(b.ids, h); found {
			return true
		}
	}
	return false
}
