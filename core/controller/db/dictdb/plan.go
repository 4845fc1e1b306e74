package dictdb

import (
	"cmp"
	"maps"
	"slices"

	"github.com/ipcore/ipcore/core/controller/db"
)

// match returns the entries that a query matches, oldest submission first, stubs
// before all others.
func (d *DB) match(q db.Query) []*entry {
	candidates, sorted := d.candidates(q)
	matching := candidates[:0]
	for _, e := range candidates {
		if q.Match(e.record()) {
			matching = append(matching, e)
		}
	}
	if !sorted {
		slices.SortFunc(matching, func(a, b *entry) int {
			return slotOf(a.submitted, a).compare(slotOf(b.submitted, b))
		})
	}
	return matching
}

// candidates returns a new list of entries that contains all that the query matches:
// the shortest list that an index offers. sorted reports whether it is in the order of
// submission.
func (d *DB) candidates(q db.Query) (list []*entry, sorted bool) {
	best := len(d.byID)
	for i := range q {
		c := &q[i]
		field, known := c.Field()
		if !known {
			continue
		}
		switch field {
		case db.MsgID:
			if wanted, ok := ids(c); ok {
				return d.named(wanted), false
			}
		case db.Completed:
			if matchesNullOnly(c) && len(d.open) < best {
				list, sorted, best = d.unfinished(), false, len(d.open)
			}
			if slots, ok := slotsFor(&d.completed, c); ok && len(slots) < best {
				list, sorted, best = entries(slots, nil), false, len(slots)
			}
		case db.Submitted:
			if slots, ok := slotsFor(&d.submitted, c); ok && len(slots) < best {
				list, sorted, best = entries(slots, nil), true, len(slots)
			}
		}
	}
	if best < len(d.byID) {
		return list, sorted
	}
	list = make([]*entry, 0, len(d.byID))
	for e := range d.undated {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b *entry) int { return cmp.Compare(a.seq, b.seq) })
	return entries(d.submitted.list, list), true
}

// ids returns the only ids that can meet a condition on msg_id.
func ids(c *db.Condition) ([]string, bool) {
	switch c.Op {
	case db.Eq:
		if id, ok := c.Arg.(string); ok {
			return []string{id}, true
		}
	case db.In:
		set := make(map[string]struct{})
		for _, v := range c.Arg.([]any) {
			if id, ok := v.(string); ok {
				set[id] = struct{}{}
			}
		}
		return slices.Collect(maps.Keys(set)), true
	}
	return nil, false
}

func (d *DB) named(ids []string) []*entry {
	var list []*entry
	for _, id := range ids {
		if e, ok := d.byID[id]; ok {
			list = append(list, e)
		}
	}
	return list
}

// matchesNullOnly reports whether only null meets a condition.
func matchesNullOnly(c *db.Condition) bool {
	return c.Op == db.Eq && c.Arg == nil || c.Op == db.Exists && c.Arg == false
}

// unfinished returns all entries without a completion time.
func (d *DB) unfinished() []*entry {
	return slices.Clone(d.open)
}

// slotsFor returns the slots of an index that meet a condition on its time, if the
// index can tell.
func slotsFor(x *index, c *db.Condition) ([]slot, bool) {
	switch c.Op {
	case db.Lt, db.Lte, db.Gt, db.Gte:
		return x.slotsWithin(c.Op, c.Date()), true
	case db.Ne:
		return x.list, c.Arg == nil
	case db.Exists:
		return x.list, c.Arg == true
	}
	return nil, false
}
