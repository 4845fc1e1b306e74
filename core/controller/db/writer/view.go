package writer

import "github.com/ipcore/ipcore/core/controller/db"

// view is the state of a record according to the queue.
type view struct {
	state  viewState
	record *db.Record // the whole record, perhaps completed from the store
	change *db.Change // partial: fields that replace the stored ones
	base   *db.Record // the stored output, where it is needed
}

type viewState int

const (
	stored  viewState = iota // not in the queue; it may be in the store
	whole                    // the queue has the whole record
	partial                  // the queue has changes of the stored record
	dropped                  // its removal is queued
)

// view returns the state of a record according to the queue. mu must be held.
func (d *DB) view(id string) view {
	w, f := d.waiting[id], d.flight[id]
	switch {
	case w == nil && f == nil:
		return view{}
	case w == nil:
		return viewOf(f)
	case f == nil || w.Change == nil:
		return viewOf(w)
	}
	v := viewOf(f)
	switch v.state {
	case whole:
		r := *v.record
		replace(&r, w.Change)
		v.record = &r
	case partial:
		c := *v.change
		merge(&c, w.Change)
		v.change = &c
	case stored, dropped:
	}
	return v
}

func viewOf(w *Write) view {
	switch {
	case w.Record != nil:
		return view{state: whole, record: w.Record}
	case w.Change != nil:
		return view{state: partial, change: w.Change}
	}
	return view{state: dropped}
}

// views returns the states of all records in the queue, and their ids in order of
// arrival.
func (d *DB) views() (map[string]*view, []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.waiting)+len(d.flight) == 0 {
		return nil, nil
	}
	views := make(map[string]*view, len(d.waiting)+len(d.flight))
	order := make([]string, 0, len(d.waiting)+len(d.flight))
	add := func(id string) {
		if views[id] == nil {
			v := d.view(id)
			views[id] = &v
			order = append(order, id)
		}
	}
	for id := range d.flight {
		add(id)
	}
	for _, w := range d.queue {
		if !w.discarded {
			add(w.ID)
		}
	}
	return views, order
}

// output returns the output that a change is appended to.
func (v view) output(f db.Field) []byte {
	of := func(r *db.Record) []byte {
		if f == db.Stdout {
			return r.Stdout
		}
		return r.Stderr
	}
	switch {
	case v.record != nil:
		return of(v.record)
	case v.change != nil && v.change.Set.Has(f):
		return of(&v.change.Record)
	case v.base != nil:
		return of(v.base)
	}
	return nil
}

// replace applies a queued change to a record. The output in a queued change is the
// whole output, and replaces that of the record.
func replace(r *db.Record, c *db.Change) {
	rest := *c
	rest.Set &^= db.OutputFields
	rest.Apply(r)
	if c.Set.Has(db.Stdout) {
		r.Stdout = c.Stdout
	}
	if c.Set.Has(db.Stderr) {
		r.Stderr = c.Stderr
	}
}

// merge merges a later change into a queued one.
func merge(c, later *db.Change) {
	replace(&c.Record, later)
	c.Set |= later.Set
}
