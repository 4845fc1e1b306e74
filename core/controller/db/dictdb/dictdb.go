// Package dictdb keeps task records in memory. It is the default database: its size is
// limited, and its records are lost when the controller ends.
package dictdb

import (
	"fmt"
	"time"

	"github.com/ipcore/ipcore/core/controller/db"
)

// Options limit the database. Only records of ended tasks count towards the limits
// and are dropped, oldest submission first; a pending task is never dropped. A
// negative limit means no limit.
type Options struct {
	RecordLimit  int     // records; default: 1024
	SizeLimit    int64   // bytes; default: 1 GiB
	CullFraction float64 // the part of a limit that is dropped when it is exceeded; default: 0.1
}

// rememberCulled is how many ids of culled records are remembered, so that a query
// for one fails with db.ErrCulled.
const rememberCulled = 1 << 17

// DB is the database.
type DB struct {
	o            Options
	byID         map[string]*entry
	submitted    index               // all entries except stubs
	completed    index               // entries with a completion time
	open         []*entry            // entries without a completion time: pending ones and stubs
	undated      map[*entry]struct{} // entries without a submission time: stubs
	done         doneQueue           // entries that may be dropped
	doneSize     int64
	reserved     int     // deferred records; see db.Transient
	reservedSize int64   // their size in bytes
	hot          hotRing // entries of the tasks that ended last
	lastShared   *[]byte // the frame that share returned last
	seq          uint64
	culled       *db.Recent
	culledCount  uint64
}

// entry is a stored record and its places in the indexes.
type entry struct {
	id                   string
	submitted, completed time.Time  // as in the record
	hot                  *db.Record // nil if packed
	packed               []byte
	shared               *[]byte // first frame, which packed omits

	seq       uint64 // order of arrival, for equal times
	done      bool   // it is in the done queue
	donePlace int    // in the done queue
	openPlace int    // in DB.open, while it has no completion time
	size      int64  // as counted in doneSize

	// indexPlaces are where it was inserted in the indexes by submission and by
	// completion; it may have moved to a later place since.
	indexPlaces [2]int
}

var (
	_ db.Transient = (*DB)(nil)
	_ db.Reporter  = (*DB)(nil)
)

// New returns an empty database.
func New(o Options) (*DB, error) {
	if o.RecordLimit == 0 {
		o.RecordLimit = 1024
	}
	if o.SizeLimit == 0 {
		o.SizeLimit = 1 << 30
	}
	if o.CullFraction == 0 {
		o.CullFraction = 0.1
	}
	if o.CullFraction < 0 || o.CullFraction > 1 {
		return nil, fmt.Errorf("DictDB.cull_fraction: must be between 0 and 1, got %v", o.CullFraction)
	}
	return &DB{
		o:         o,
		byID:      make(map[string]*entry),
		submitted: index{time: func(e *entry) time.Time { return e.submitted }},
		completed: index{which: 1, time: func(e *entry) time.Time { return e.completed }},
		undated:   make(map[*entry]struct{}),
		culled:    db.NewRecent(rememberCulled),
		hot:       hotRing{size: hotRecords},
	}, nil
}

// Name returns the backend's name.
func (d *DB) Name() string { return "DictDB" }

// Add stores a new record.
func (d *DB) Add(r *db.Record) error {
	if _, dup := d.byID[r.MsgID]; dup {
		return db.Duplicate(r.MsgID)
	}
	d.seq++
	record := *r
	e := &entry{id: r.MsgID, hot: &record, seq: d.seq}
	d.byID[e.id] = e
	d.enlist(e)
	d.cull()
	return nil
}

// find returns the entry of an id.
func (d *DB) find(id string) (*entry, error) {
	if e, ok := d.byID[id]; ok {
		return e, nil
	}
	if d.culled.Has(id) {
		return nil, db.Culled(id)
	}
	return nil, db.Unknown(id)
}

// Get returns one record.
func (d *DB) Get(id string) (*db.Record, error) {
	e, err := d.find(id)
	if err != nil {
		return nil, err
	}
	return e.record(), nil
}

// Fields that decide in which indexes an entry is.
var (
	submission = db.FieldSet(db.Header, db.Submitted)
	completion = db.FieldSet(db.Completed)
)

// Update changes fields of a record.
func (d *DB) Update(id string, c *db.Change) error {
	e, err := d.find(id)
	if err != nil {
		return err
	}
	e.ensureUnpacked()
	switch {
	case c.Set&submission != 0:
		d.delist(e)
		c.Apply(e.hot)
		d.enlist(e)
	case c.Set&completion != 0:
		d.delistByEnd(e)
		c.Apply(e.hot)
		d.enlistByEnd(e)
	default:
		c.Apply(e.hot)
		d.resize(e)
	}
	d.cull()
	return nil
}

// enlist adds an entry to the indexes.
func (d *DB) enlist(e *entry) {
	e.submitted = e.hot.Submitted
	if e.submitted.IsZero() {
		d.undated[e] = struct{}{}
	} else {
		d.submitted.add(e)
	}
	d.enlistByEnd(e)
}

// enlistByEnd is the part of enlist that depends on the task's end.
func (d *DB) enlistByEnd(e *entry) {
	e.completed = e.hot.Completed
	if e.completed.IsZero() {
		e.openPlace = len(d.open)
		d.open = append(d.open, e)
	} else {
		d.completed.add(e)
	}
	if e.hot.Done() {
		e.done = true
		e.size = e.hot.Size()
		d.doneSize += e.size
		d.done.push(e)
		if old := d.hot.push(e); old != nil && old.done {
			d.pack(old)
		}
	}
}

// delist removes an entry from the indexes.
func (d *DB) delist(e *entry) {
	if e.submitted.IsZero() {
		delete(d.undated, e)
	} else {
		d.submitted.remove(e)
	}
	d.delistByEnd(e)
}

// delistByEnd is the part of delist that depends on the task's end.
func (d *DB) delistByEnd(e *entry) {
	if e.completed.IsZero() {
		last := len(d.open) - 1
		d.open[e.openPlace] = d.open[last]
		d.open[e.openPlace].openPlace = e.openPlace
		d.open[last] = nil
		d.open = d.open[:last]
	} else {
		d.completed.remove(e)
	}
	if e.done {
		e.done = false
		d.doneSize -= e.size
		d.done.remove(e)
	}
}

// resize updates the counted size of an entry.
func (d *DB) resize(e *entry) {
	if e.done {
		size := e.hot.Size()
		d.doneSize += size - e.size
		e.size = size
	}
}

// cull drops the oldest entries until the database is within its limits.
func (d *DB) cull() {
	if d.o.RecordLimit >= 0 && d.done.len()+d.reserved > d.o.RecordLimit {
		n := max(1, int(d.o.CullFraction*float64(d.o.RecordLimit)))
		for ; n > 0 && d.done.len() > 0; n-- {
			d.cullOldest()
		}
	}
	if d.o.SizeLimit >= 0 && d.doneSize+d.reservedSize > d.o.SizeLimit {
		target := int64((1-d.o.CullFraction)*float64(d.o.SizeLimit)) - d.reservedSize
		for d.doneSize > target && d.done.len() > 0 {
			d.cullOldest()
		}
	}
}

func (d *DB) cullOldest() {
	e := d.done.oldest()
	d.drop(e)
	d.MarkCulled(e.id)
}

// Has implements db.Transient.
func (d *DB) Has(id string) bool {
	_, ok := d.byID[id]
	return ok
}

// Reserve implements db.Transient.
func (d *DB) Reserve(records int, bytes int64) bool {
	d.reserved, d.reservedSize = records, bytes
	d.cull()
	return (d.o.RecordLimit < 0 || d.done.len()+records <= d.o.RecordLimit) && (d.o.SizeLimit < 0 || d.doneSize+bytes <= d.o.SizeLimit)
}

// MarkCulled implements db.Transient.
func (d *DB) MarkCulled(id string) {
	d.culled.Add(id)
	d.culledCount++
}

func (d *DB) drop(e *entry) {
	d.delist(e)
	delete(d.byID, e.id)
	e.hot, e.packed, e.shared = nil, nil, nil // the ring may hold the entry for a while
}

// Drop removes a record.
func (d *DB) Drop(id string) error {
	e, err := d.find(id)
	if err != nil {
		return err
	}
	d.drop(e)
	return nil
}

// DropMatching removes all records that the query matches.
func (d *DB) DropMatching(q db.Query) (int, error) {
	matching := d.match(q)
	for _, e := range matching {
		d.drop(e)
	}
	return len(matching), nil
}

// Find returns the records that the query matches.
func (d *DB) Find(q db.Query, _ db.Fields) ([]*db.Record, error) {
	matching := d.match(q)
	records := make([]*db.Record, len(matching))
	for i, e := range matching {
		records[i] = e.record()
	}
	return records, nil
}

// History returns the ids of all submitted tasks, oldest first.
func (d *DB) History() ([]string, error) {
	all := d.submitted.all()
	ids := make([]string, len(all))
	for i, e := range all {
		ids[i] = e.id
	}
	return ids, nil
}

// Stats returns the current numbers.
func (d *DB) Stats() db.Stats {
	return db.Stats{Records: len(d.byID), Bytes: d.doneSize, Culled: d.culledCount}
}

// Close does nothing.
func (d *DB) Close() error { return nil }
