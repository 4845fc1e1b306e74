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

// Options of a database. The zero value of a field is its default.
type Options struct {
	Log         hclog.Logger  // nil discards
	Gather      time.Duration // how long a change waits for others before it is written: 50 ms
	MaxQueued   int64         // bytes of changes that wait: 256 MiB
	LoadTimeout time.Duration // of a lookup by id: 1 s
	FindTimeout time.Duration // of a query: 10 s
	SaveTimeout time.Duration // of a batch: 30 s
	CloseWait   time.Duration // how long Close tries to write what is queued: 5 s
}

// rememberIDs is how many ids are remembered that were added, and that were
// given up.
const rememberIDs = 1 << 17

// DB is the database. One goroutine uses it; Status and Flush may be
// called by any.
type DB struct {
	o     Options
	store Store
	log   hclog.Logger
	lost  *db.Recent // given up
	known *db.Recent // added; of others a store that is not local is not asked

	// open is the tasks of this DB's time that have not ended, and which output
	// of theirs was queued. They exist, whatever the store says.
	open map[string]db.Fields

	ctx    context.Context // of writing; ends when a closing database has waited long enough
	cancel context.CancelFunc
	wake   chan struct{}
	stop   chan struct{} // closed by Close
	closed bool          // by Close
	done   chan struct{} // closed when run has ended
	down   state

	mu      sync.Mutex
	idle    sync.Cond         // signalled when a batch is written
	queue   []*Write          // in order of arrival
	waiting map[string]*Write // those of queue that are not dead
	flight  map[string]*Write // being written
	bytes   int64             // of both
	shedAt  int64             // bytes at which giving up is tried next
	status  Status
	givenUp int       // changes, since the log has told
	toldAt  time.Time // when that was
}

// New makes a database and starts its writing goroutine; Close ends it.
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
		waiting: make(map[string]*Write), flight: make(map[string]*Write), shedAt: o.MaxQueued,
	}
	d.idle.L = &d.mu
	d.ctx, d.cancel = context.WithCancel(context.Background())
	go d.run()
	return d
}

// Name is the backend's name.
func (d *DB) Name() string { return d.store.Name() }

// Add stores a new record.
func (d *DB) Add(r *db.Record) error {
	d.normalise(r)
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
		d.open[stored.MsgID] = db.FieldSet(present(&stored)...)
	}
	d.resize(w)
	return nil
}

// present returns which output a record has.
func present(r *db.Record) (fields []db.Field) {
	if len(r.Stdout) > 0 {
		fields = append(fields, db.Stdout)
	}
	if len(r.Stderr) > 0 {
		fields = append(fields, db.Stderr)
	}
	return fields
}

// normalise gives a record the form in which the store will answer it.
func (d *DB) normalise(r *db.Record) {
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
		return nil, d.unknown(id)
	case stored, partial:
	}
	r, err := d.load(id, db.AllFields)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, d.unknown(id)
	}
	if v.state == partial {
		replace(r, v.change)
	}
	return r, nil
}

func (d *DB) unknown(id string) error {
	if d.lost.Has(id) {
		return db.Culled(id)
	}
	return db.Unknown(id)
}

// Update changes fields of a record.
func (d *DB) Update(id string, c *db.Change) error {
	change := *c
	d.normalise(&change.Record)
	d.mu.Lock()
	v := d.view(id)
	d.mu.Unlock()
	if v.state == dropped {
		return d.unknown(id)
	}
	outputs := change.Set & db.OutputFields
	if v.state == stored || v.state == partial {
		if err := d.base(id, &v, outputs); err != nil {
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
	d.track(id, &change)
	d.resize(w)
	return nil
}

// base makes sure that a record exists of which the queue holds at most a part,
// and finds the output that a change is appended to.
func (d *DB) base(id string, v *view, outputs db.Fields) error {
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
		return nil // a change of a record that is not there does no harm
	}
	if err != nil {
		return err
	}
	if r == nil {
		if open || v.state == partial {
			return nil
		}
		return d.unknown(id)
	}
	v.base = r
	return nil
}

// withOutput makes the output of a change the whole output.
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

// track keeps the list of open tasks.
func (d *DB) track(id string, c *db.Change) {
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

// Drop forgets a record.
func (d *DB) Drop(id string) error {
	d.mu.Lock()
	v := d.view(id)
	d.mu.Unlock()
	_, open := d.open[id]
	switch {
	case v.state == dropped:
		return d.unknown(id)
	case v.state == stored && !open:
		exists, err := d.exists(id)
		if err != nil {
			return err
		}
		if !exists {
			return d.unknown(id)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.drop(id)
	return nil
}

// drop queues the removal of a record; mu is held.
func (d *DB) drop(id string) {
	delete(d.open, id)
	w := d.waiting[id]
	if w != nil && w.Record != nil && !w.Drop && d.flight[id] == nil {
		d.forget(w) // the store has not heard of it
		return
	}
	if w == nil {
		w = d.enqueue(id)
	}
	w.Drop, w.Record, w.Change = true, nil, nil
	d.resize(w)
}

// DropMatching forgets every record that the query matches.
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
	// What is queued is looked at first: what is written in the meantime is then
	// seen twice and not never.
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

// complete makes whole records of those of which the queue holds a part.
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

// load returns a stored record, or nil if there is none.
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

// read asks the store, unless it does not answer.
func (d *DB) read(timeout time.Duration, ask func(ctx context.Context) error) error {
	if cause := d.down.get(); cause != nil {
		return unavailable(cause)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	err := ask(ctx)
	if err == nil {
		return nil
	}
	d.down.set(err)
	d.log.Error("task database does not answer", "database", d.Name(), "error", err)
	d.signal()
	return unavailable(err)
}

func unavailable(cause error) error {
	return &db.Error{Ename: "DatabaseError", Evalue: fmt.Sprintf("the task database does not answer: %v", cause), Kind: db.ErrUnavailable}
}
