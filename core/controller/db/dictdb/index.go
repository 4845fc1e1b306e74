package dictdb

import (
	"math"
	"slices"
	"time"

	"github.com/ipcore/ipcore/core/controller/db"
)

// index holds the entries that have a certain time, ordered by it. Entries arrive
// nearly in order, so adding is mostly appending. Removing leaves a hole; holes are
// closed when they make up half of the list.
type index struct {
	time  func(*entry) time.Time
	which int // index of this index in entry.indexPlaces
	list  []slot
	holes int
}

// slot is an entry with the time at which it was sorted in. A nil entry is a hole.
type slot struct {
	seconds int64 // of the Unix epoch
	nanos   int32
	seq     uint64 // orders equal times
	e       *entry
}

func slotOf(t time.Time, e *entry) slot {
	return slot{t.Unix(), int32(t.Nanosecond()), e.seq, e}
}

func (s *slot) before(o *slot) bool {
	if s.seconds != o.seconds {
		return s.seconds < o.seconds
	}
	if s.nanos != o.nanos {
		return s.nanos < o.nanos
	}
	return s.seq < o.seq
}

func (s slot) compare(o slot) int {
	switch {
	case s.before(&o):
		return -1
	case o.before(&s):
		return 1
	}
	return 0
}

// nearEnd is how many places from the end add searches linearly: ends of tasks arrive
// nearly in order.
const nearEnd = 32

func (x *index) add(e *entry) {
	s := slotOf(x.time(e), e)
	i, last := len(x.list), max(0, len(x.list)-nearEnd)
	for i > last && s.before(&x.list[i-1]) {
		i--
	}
	found := false
	switch {
	case i == last:
		i, found = slices.BinarySearchFunc(x.list[:i], s, slot.compare)
	case !x.list[i-1].before(&s):
		i--
		found = true
	}
	e.indexPlaces[x.which] = i
	if found { // the hole that the same entry has left
		x.list[i] = s
		x.holes--
		return
	}
	x.list = append(x.list, slot{})
	copy(x.list[i+1:], x.list[i:])
	x.list[i] = s
}

// remove removes an entry, whose time must still be the one that it was added with.
func (x *index) remove(e *entry) {
	i := e.indexPlaces[x.which]
	if i >= len(x.list) || x.list[i].e != e { // others were inserted before it
		var found bool
		if i, found = slices.BinarySearchFunc(x.list, slotOf(x.time(e), e), slot.compare); !found {
			return
		}
	}
	x.list[i].e = nil
	x.holes++
	if x.holes > 32 && x.holes > len(x.list)/2 {
		x.closeHoles()
	}
}

// closeHoles removes the holes.
func (x *index) closeHoles() {
	x.list = slices.DeleteFunc(x.list, func(s slot) bool { return s.e == nil })
	x.holes = 0
	for i := range x.list {
		x.list[i].e.indexPlaces[x.which] = i
	}
}

// all returns the entries in order.
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

// slotsWithin returns the slots that meet an ordering condition.
func (x *index) slotsWithin(op db.Op, at time.Time) []slot {
	first := func(after bool) int {
		key := slot{seconds: at.Unix(), nanos: int32(at.Nanosecond())}
		if after {
			key.seq = math.MaxUint64
		}
		i, _ := slices.BinarySearchFunc(x.list, key, slot.compare)
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
