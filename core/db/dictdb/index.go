package dictdb

import (
	"cmp"
	"slices"
	"time"

	"github.com/ipcore/ipcore/core/db"
)

// index is the entries that have a time, in its order. Entries come nearly in
// order, so that adding is appending; removing marks a hole, and the holes are
// closed when they are half of the list.
type index struct {
	time  func(*entry) time.Time
	place int // which of an entry's places is in this index
	list  []slot
	holes int
}

// slot is an entry under the time it was added with. A nil entry is a hole.
type slot struct {
	at  time.Time
	seq uint64
	e   *entry
}

func (s slot) compare(o slot) int {
	if c := s.at.Compare(o.at); c != 0 {
		return c
	}
	return cmp.Compare(s.seq, o.seq)
}

func (x *index) add(e *entry) {
	s := slot{x.time(e), e.seq, e}
	if n := len(x.list); n == 0 || x.list[n-1].compare(s) < 0 {
		e.places[x.place] = n
		x.list = append(x.list, s)
		return
	}
	i, found := slices.BinarySearchFunc(x.list, s, slot.compare)
	e.places[x.place] = i
	if found { // the hole that the same entry left
		x.list[i] = s
		x.holes--
		return
	}
	x.list = slices.Insert(x.list, i, s)
}

// remove takes an entry out; its time is still the one it was added with.
func (x *index) remove(e *entry) {
	i := e.places[x.place]
	if i >= len(x.list) || x.list[i].e != e { // others were put before it
		var found bool
		if i, found = slices.BinarySearchFunc(x.list, slot{at: x.time(e), seq: e.seq}, slot.compare); !found {
			return
		}
	}
	x.list[i].e = nil
	x.holes++
	if x.holes > 32 && x.holes > len(x.list)/2 {
		x.close()
	}
}

// close takes the holes out.
func (x *index) close() {
	x.list = slices.DeleteFunc(x.list, func(s slot) bool { return s.e == nil })
	x.holes = 0
	for i := range x.list {
		x.list[i].e.places[x.place] = i
	}
}

// all answers the entries in order.
func (x *index) all() []*entry {
	return entries(x.list, make([]*entry, 0, len(x.list)-x.holes))
}

func entries(slots []slot, dst []*entry) []*entry {
	for _, s := range slots {
		if s.e != nil {
			dst = append(dst, s.e)
		}
	}
	return dst
}

// within answers the slots that an ordering condition leaves.
func (x *index) within(op db.Op, at time.Time) []slot {
	first := func(after bool) int {
		i, _ := slices.BinarySearchFunc(x.list, at, func(s slot, at time.Time) int {
			c := s.at.Compare(at)
			if c == 0 && after {
				return -1
			}
			return c
		})
		return i
	}
	switch op {
	case db.Lt:
		return x.list[:first(false)]
	case db.Lte:
		return x.list[:first(true)]
	case db.Gt:
		return x.list[first(true):]
	case db.Gte:
		return x.list[first(false):]
	}
	return x.list
}
