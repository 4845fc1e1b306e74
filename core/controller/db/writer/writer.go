package writer

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/controller/db"
)

// Options configure a database. A field that is zero has its default.
type Options struct {
	Log         hclog.Logger  // nil discards
	Gather      time.Duration // how long a change waits for others before it is written; default: 50 ms
	MaxQueued   int64         // limit of queued changes in bytes; default: 256 MiB
	LoadTimeout time.Duration // of a lookup by id; default: 1 s
	FindTimeout time.Duration // of a query; default: 10 s
	SaveTimeout time.Duration // of writing a batch; default: 30 s
	CloseWait   time.Duration // how long Close tries to write queued changes; default: 5 s
}

// rememberIDs is how many ids of added records, and of discarded ones, are
// remembered.
const rememberIDs = 1 << 17

// DB is the database. It is used by one goroutine, except that Status and Flush may be
// called by any.
type DB struct {
	o     Options
	store Store
	log   hclog.Logger
	lost  *db.Recent // discarded
	known *db.Recent // added; a store that is not local is not asked whether others exist

	// open holds the tasks added to this DB that have not ended, with the set of
	// their output fields that have been queued. These tasks are known to exist
	// without a lookup in the store.
	open map[string]db.Fields

	ctx    context.Context // of writing; ends when CloseWait is over
	cancel context.CancelFunc
	wake   chan struct{}
	stop   chan struct{} // closed by Close
	closed bool          // by Close
	done   chan struct{} // closed when run has ended
	down   readFailure

	mu            sync.Mutex
	idle          sync.Cond         // signaled when a batch is written
	queue         []*Write          // in order of arrival
	waiting       map[string]*Write // those of queue that are not discarded
	flight        map[string]*Write // being written
	bytes         int64             // of both
	shedThreshold int64             // bytes of queued changes at which shed is called next
	status        Status
	givenUp       int       // changes discarded since they were last logged
	loggedAt      time.Time // when they were last logged
}

// New returns a database and starts its writing goroutine, which Close ends.
func New(s Store, o Options) *DB {
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	o.Gather = cmp.Or(o.Gather, 50*time.Millisecond)
	o.MaxQueued = cmp.Or(o.MaxQueued, 256<<20)
	o.LoadTimeout = cmp.Or(o.LoadTimeout, time.Second)
	o.FindTimeout = cmp.Or(o.FindTimeout, 10*time.Second)
	o.SaveTimeout = cmp.Or(o.SaveTimeout, 30*time.Second)
	o.CloseWait = cmp.Or(o.CloseWait, 5*time.Second)
	d := &DB{
		o: o, store: s, log: o.Log, lost: db.NewRecent(rememberIDs), known: db.NewRecent(rememberIDs), open: make(map[string]db.Fields),
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
		waiting: make(map[string]*Write), flight: make(map[string]*Write), shedThreshold: o.MaxQueued,
	}
	d.idle.L = &d.mu
	d.ctx, d.cancel = context.WithCancel(context.Background())
	go d.run()
	return d
}

// Name returns the backend's name.
func (d *DB) Name() string { return d.store.Name() }

// Add stores a new record.
func (d *DB) Add(r *db.Record) error {
	d.normalize(r)
	d.mu.Lock()
	defer d.mu.Unlock()
	switch v := d.view(r.MsgID); v.state {
	case whole, partial:
		return db.Duplicate(r.MsgID)
	case stored:
		if _, open := d.open[r.MsgID]; open {
			return db.Duplicate(r.MsgID)
		}
		if d.store.Local() || d.known.Has(r.MsgID) {
			d.mu.Unlock()
			exists, err := d.exists(r.MsgID)
			d.mu.Lock()
			if exists && err == nil {
				return db.Duplicate(r.MsgID)
			}
		}
	case dropped:
	}
	d.known.Add(r.MsgID)
	stored := *r
	w := d.waiting[r.MsgID]
	if w == nil {
		w = d.enqueue(r.MsgID)
	}
	w.Record, w.Change = &stored, nil
	if !stored.Done() {
		d.open[stored.MsgID] = db.FieldSet(outputsOf(&stored)...)
	}
	d.resize(w)
	return nil
}

// outputsOf returns the output fields of a record that are not empty.
func outputsOf(r *db.Record) (fields []db.Field) {
	if len(r.Stdout) > 0 {
		fields = append(fields, db.Stdout)
	}
	if len(r.Stderr) > 0 {
		fields = append(fields, db.Stderr)
	}
	return fields
}

// normalize gives a record the form in which the store will return it.
func (d *DB) normalize(r *db.Record) {
	unit := d.store.Precision()
	for _, f := range db.TimeFields.List() {
		if t := r.Time(f); !t.IsZero() {
			r.SetTime(f, t.Truncate(unit))
		}
	}
	if len(r.Buffers) == 0 {
		r.Buffers = nil
	}
	if len(r.ResultBuffers) == 0 {
		r.ResultBuffers = nil
	}
}

// Get returns one record.
func (d *DB) Get(id string) (*db.Record, error) {
	d.mu.Lock()
	v := d.view(id)
	d.mu.Unlock()
	switch v.state {
	case whole:
		return v.record, nil
	case dropped:
		return nil, d.unknownError(id)
	case stored, partial:
	}
	r, err := d.load(id, db.AllFields)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, d.unknownError(id)
	}
	if v.state == partial {
		replace(r, v.change)
	}
	return r, nil
}

func (d *DB) unknownError(id string) error {
	if d.lost.Has(id) {
		return db.Culled(id)
	}
	return db.Unknown(id)
}

// Update changes fields of a record.
func (d *DB) Update(id string, c *db.Change) error {
	change := *c
	d.normalize(&change.Record)
	d.mu.Lock()
	v := d.view(id)
	d.mu.Unlock()
	if v.state == dropped {
		return d.unknownError(id)
	}
	outputs := change.Set & db.OutputFields
	if v.state == stored || v.state == partial {
		if err := d.loadBase(id, &v, outputs); err != nil {
			return err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	w := d.waiting[id]
	switch {
	case w != nil && w.Record != nil:
		change.Apply(w.Record)
	case w != nil && w.Change != nil:
		d.withOutput(&change, v)
		merge(w.Change, &change)
	default:
		d.withOutput(&change, v)
		w = d.enqueue(id)
		w.Change = &change
	}
	d.trackOpen(id, &change)
	d.resize(w)
	return nil
}

// loadBase checks that a record of which the queue holds at most a part exists, and
// loads the output that a change is appended to.
func (d *DB) loadBase(id string, v *view, outputs db.Fields) error {
	written, open := d.open[id]
	missing := outputs
	if v.change != nil {
		missing &^= v.change.Set
	}
	if open {
		missing &= written
	}
	if missing == 0 && (open || v.state == partial) {
		return nil
	}
	r, err := d.load(id, db.FieldSet(db.MsgID)|missing)
	if err != nil && missing == 0 {
		return nil // changing a record that does not exist does no harm
	}
	if err != nil {
		return err
	}
	if r == nil {
		if open || v.state == partial {
			return nil
		}
		return d.unknownError(id)
	}
	v.base = r
	return nil
}

// withOutput replaces the output in a change, which is to be appended, by the whole
// output.
func (d *DB) withOutput(c *db.Change, v view) {
	for _, f := range (c.Set & db.OutputFields).List() {
		kept := v.output(f)
		if f == db.Stdout {
			c.Stdout = db.AppendOutput(slices.Clip(kept), c.Stdout)
		} else {
			c.Stderr = db.AppendOutput(slices.Clip(kept), c.Stderr)
		}
	}
}

// trackOpen updates open after a change.
func (d *DB) trackOpen(id string, c *db.Change) {
	written, open := d.open[id]
	switch {
	case c.Set.Has(db.Completed) && !c.Completed.IsZero():
		delete(d.open, id)
	case open:
		d.open[id] = written | c.Set&db.OutputFields
	case c.Set.Has(db.Header) && c.Header != nil: // a stub becomes a task
		d.open[id] = db.OutputFields
	}
}

// Drop removes a record.
func (d *DB) Drop(id string) error {
	d.mu.Lock()
	v := d.view(id)
	d.mu.Unlock()
	_, open := d.open[id]
	switch {
	case v.state == dropped:
		return d.unknownError(id)
	case v.state == stored && !open:
		exists, err := d.exists(id)
		if err != nil {
			return err
		}
		if !exists {
			return d.unknownError(id)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.drop(id)
	return nil
}

// drop queues the removal of a record. mu must be held.
func (d *DB) drop(id string) {
	delete(d.open, id)
	w := d.waiting[id]
	if w != nil && w.Record != nil && !w.Drop && d.flight[id] == nil {
		d.discard(w) // the store does not have it
		return
	}
	if w == nil {
		w = d.enqueue(id)
	}
	w.Drop, w.Record, w.Change = true, nil, nil
	d.resize(w)
}

// DropMatching removes all records that the query matches.
func (d *DB) DropMatching(q db.Query) (int, error) {
	matching, err := d.Find(q, db.FieldSet(db.MsgID))
	if err != nil {
		return 0, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range matching {
		d.drop(r.MsgID)
	}
	return len(matching), nil
}

// Find returns the records that the query matches.
func (d *DB) Find(q db.Query, keys db.Fields) ([]*db.Record, error) {
	fields := keys | q.Fields() | db.FieldSet(db.MsgID, db.Submitted)
	// The queue is read first: a change that is written in the meantime is then seen
	// twice instead of not at all.
	views, order := d.views()
	var found []*db.Record
	err := d.read(d.o.FindTimeout, func(ctx context.Context) (err error) {
		found, err = d.store.Find(ctx, q, fields)
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(views) > 0 {
		found = slices.DeleteFunc(found, func(r *db.Record) bool {
			_, queued := views[r.MsgID]
			return queued
		})
		if err := d.complete(views, fields); err != nil {
			return nil, err
		}
		for _, id := range order {
			if v := views[id]; v.record != nil && q.Match(v.record) {
				found = append(found, v.record)
			}
		}
	}
	slices.SortStableFunc(found, func(a, b *db.Record) int { return a.Submitted.Compare(b.Submitted) })
	return found, nil
}

// complete loads the records of which the queue holds a part, and applies the queued
// changes.
func (d *DB) complete(views map[string]*view, fields db.Fields) error {
	var ids []string
	for id, v := range views {
		if v.state == partial {
			ids = append(ids, id)
		}
	}
	if ids == nil {
		return nil
	}
	return d.read(d.o.FindTimeout, func(ctx context.Context) error {
		records, err := d.store.Load(ctx, ids, fields)
		for _, r := range records {
			replace(r, views[r.MsgID].change)
			views[r.MsgID].record = r
		}
		return err
	})
}

var isSubmitted = db.Query{db.Must("submitted", db.Exists, true)}

// History returns the ids of all submitted tasks, oldest first.
func (d *DB) History() ([]string, error) {
	records, err := d.Find(isSubmitted, db.FieldSet(db.MsgID, db.Submitted))
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(records))
	for i, r := range records {
		ids[i] = r.MsgID
	}
	return ids, nil
}

// load returns a stored record; nil if it does not exist.
func (d *DB) load(id string, fields db.Fields) (r *db.Record, err error) {
	err = d.read(d.o.LoadTimeout, func(ctx context.Context) error {
		records, err := d.store.Load(ctx, []string{id}, fields)
		if len(records) > 0 {
			r = records[0]
		}
		return err
	})
	return r, err
}

func (d *DB) exists(id string) (bool, error) {
	r, err := d.load(id, db.FieldSet(db.MsgID))
	return r != nil, err
}

// read calls f, which reads the store, unless the store is known not to respond.
func (d *DB) read(timeout time.Duration, f func(ctx context.Context) error) error {
	if cause := d.down.get(); cause != nil {
		return unavailable(cause)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	err := f(ctx)
	if err == nil {
		return nil
	}
	d.down.set(err)
	d.log.Error("task database does not respond", "database", d.Name(), "error", err)
	d.signal()
	return unavailable(err)
}

func unavailable(cause error) error {
	return &db.Error{Ename: "DatabaseError", Evalue: fmt.Sprintf("the task database does not respond: %v", cause), Kind: db.ErrUnavailable}
}
