// Package dictdb keeps task records in memory. It is the default database: what
// it holds is bounded, and gone when the controller ends.
package dictdb

import (
	"fmt"
	"time"

	"github.com/ipcore/ipcore/core/controller/db"
)

// Options bound the database. Only records of tasks that have ended count and
// are dropped, oldest submission first; a pending task is never dropped. A
// negative limit means none.
type Options struct {
	RecordLimit  int     // records, 1024
	SizeLimit    int64   // bytes, 1 GiB
	CullFraction float64 // the part of a limit that is dropped when it is exceeded, 0.1
}

// rememberCulled is how many dropped ids get an error of their own.
const rememberCulled = 1 << 17

// DB is the database.
type DB struct {
	o         Options
	byID      map[string]*entry
	submitted index               // all entries but stubs
	completed index               // all that have ended
	open      []*entry            // without a completion time: pending ones and stubs
	undated   map[*entry]struct{} // without a submission time: stubs
	done      doneQueue           // what may be dropped
	doneSize  int64
	reserved  int     // records that are kept back
	backSize  int64   // of those
	hot       hotRing // of those that have ended
	common    *[]byte // the frame that was shared last
	seq       uint64
	culled    *db.Recent
	culls     uint64
}

// entry is a stored record and where it stands.
type entry struct {
	id                   string
	submitted, completed time.Time  // as the record says
	hot                  *db.Record // nil when it is packed
	cold                 []byte
	shared               *[]byte // what cold leaves out

	seq   uint64 // order of arrival, for equal times
	done  bool   // in the done queue
	place int    // there
	at    int    // in the list of open ones, while it has no completion time
	size  int64  // as counted in doneSize

	// places are where it was put in the indexes by submission and by
	// completion; it may have moved up since.
	places [2]int
}

var (
	_ db.Transient = (*DB)(nil)
	_ db.Reporter  = (*DB)(nil)
)

// New makes an empty database.
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
		return nil, fmt.Errorf("DictDB.cull_fraction: %v is not between 0 and 1", o.CullFraction)
	}
	return &DB{
		o:         o,
		byID:      make(map[string]*entry),
		submitted: index{time: func(e *entry) time.Time { return e.submitted }},
		completed: index{place: 1, time: func(e *entry) time.Time { return e.completed }},
		undated:   make(map[*entry]struct{}),
		culled:    db.NewRecent(rememberCulled),
		hot:       hotRing{size: hotRecords},
	}, nil
}

// Name is the backend's name.
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

// Fields that decide where an entry is listed.
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
	e.thaw()
	switch {
	case c.Set&submission != 0:
		d.delist(e)
		c.Apply(e.hot)
		d.enlist(e)
	case c.Set&completion != 0:
		d.delistEnd(e)
		c.Apply(e.hot)
		d.enlistEnd(e)
	default:
		c.Apply(e.hot)
		d.resize(e)
	}
	d.cull()
	return nil
}

// enlist puts an entry into the indexes that its fields call for.
func (d *DB) enlist(e *entry) {
	e.submitted = e.hot.Submitted
	if e.submitted.IsZero() {
		d.undated[e] = struct{}{}
	} else {
		d.submitted.add(e)
	}
	d.enlistEnd(e)
}

// enlistEnd is the part of enlist that the task's end decides.
func (d *DB) enlistEnd(e *entry) {
	e.completed = e.hot.Completed
	if e.completed.IsZero() {
		e.at = len(d.open)
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
			d.freeze(old)
		}
	}
}

// delist undoes enlist.
func (d *DB) delist(e *entry) {
	if e.submitted.IsZero() {
		delete(d.undated, e)
	} else {
		d.submitted.remove(e)
	}
	d.delistEnd(e)
}

// delistEnd undoes enlistEnd.
func (d *DB) delistEnd(e *entry) {
	if e.completed.IsZero() {
		last := len(d.open) - 1
		d.open[e.at] = d.open[last]
		d.open[e.at].at = e.at
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

// resize counts an entry's bytes anew.
func (d *DB) resize(e *entry) {
	if e.done {
		size := e.hot.Size()
		d.doneSize += size - e.size
		e.size = size
	}
}

// cull drops what is beyond the limits.
func (d *DB) cull() {
	if d.o.RecordLimit >= 0 && d.done.len()+d.reserved > d.o.RecordLimit {
		n := max(1, int(d.o.CullFraction*float64(d.o.RecordLimit)))
		for ; n > 0 && d.done.len() > 0; n-- {
			d.cullOldest()
		}
	}
	if d.o.SizeLimit >= 0 && d.doneSize+d.backSize > d.o.SizeLimit {
		target := int64((1-d.o.CullFraction)*float64(d.o.SizeLimit)) - d.backSize
		for d.doneSize > target && d.done.len() > 0 {
			d.cullOldest()
		}
	}
}

func (d *DB) cullOldest() {
	e := d.done.oldest()
	d.drop(e)
	d.Pass(e.id)
}

// Has implements db.Transient.
func (d *DB) Has(id string) bool {
	_, ok := d.byID[id]
	return ok
}

// Reserve implements db.Transient.
func (d *DB) Reserve(records int, bytes int64) bool {
	d.reserved, d.backSize = records, bytes
	d.cull()
	return (d.o.RecordLimit < 0 || d.done.len()+records <= d.o.RecordLimit) && (d.o.SizeLimit < 0 || d.doneSize+bytes <= d.o.SizeLimit)
}

// Pass implements db.Transient.
func (d *DB) Pass(id string) {
	d.culled.Add(id)
	d.culls++
}

func (d *DB) drop(e *entry) {
	d.delist(e)
	delete(d.byID, e.id)
	e.hot, e.cold, e.shared = nil, nil, nil // the ring may know it for a while
}

// Drop forgets a record.
func (d *DB) Drop(id string) error {
	e, err := d.find(id)
	if err != nil {
		return err
	}
	d.drop(e)
	return nil
}

// DropMatching forgets every record that the query matches.
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
	return db.Stats{Records: len(d.byID), Bytes: d.doneSize, Culled: d.culls}
}

// Close does nothing.
func (d *DB) Close() error { return nil }
