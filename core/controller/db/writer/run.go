package writer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ipcore/ipcore/core/controller/db"
)

// ErrExists refuses a record whose id is taken.
var ErrExists = errors.New("a record with this id exists")

// Status is how the writing goes.
type Status struct {
	Queued      int    // changes that wait or are being written
	QueuedBytes int64  // about
	Written     uint64 // changes
	Lost        uint64 // changes that were given up or refused
	Failures    uint64 // of batches
	Err         error  // the last failure, nil since a batch was written
}

// Status returns the state of writing.
func (d *DB) Status() Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.status
	s.Queued, s.QueuedBytes = len(d.waiting)+len(d.flight), d.bytes
	return s
}

// Bounds of a batch.
const (
	batchChanges = 2000
	batchBytes   = 8 << 20
)

// changeOverhead is the approximate memory of a queued change in addition to its bytes.
const changeOverhead = 256

// enqueue adds an empty change to the queue; mu is held.
func (d *DB) enqueue(id string) *Write {
	w := &Write{ID: id}
	d.queue = append(d.queue, w)
	d.waiting[id] = w
	d.signal()
	return w
}

// forget takes a change out of the queue; mu is held.
func (d *DB) forget(w *Write) {
	w.dead = true
	w.Record, w.Change = nil, nil
	d.bytes -= w.size
	delete(d.waiting, w.ID)
}

// resize counts a change's bytes anew and gives changes up when there are too
// many; mu is held.
func (d *DB) resize(w *Write) {
	size := int64(changeOverhead)
	if w.Record != nil {
		size += w.Record.Size()
	}
	if w.Change != nil {
		size += w.Change.Size()
	}
	d.bytes += size - w.size
	w.size = size
	if d.bytes > d.shedAt {
		d.shed()
	}
}

// shed gives up the oldest queued changes of ended tasks; mu is held. Whole
// records go first, and the ends of tasks whose beginning is stored, or under
// way, have a quarter more room: without its end a task stays pending for ever.
func (d *DB) shed() {
	step := d.o.MaxQueued / 16
	d.giveUp(d.o.MaxQueued-step, func(w *Write) bool { return w.Record != nil && w.Record.Done() })
	d.giveUp(d.o.MaxQueued+4*step, ended)
	d.queue = slices.DeleteFunc(d.queue, func(w *Write) bool { return w.dead })
	d.shedAt = max(d.o.MaxQueued, d.bytes+step)
	if time.Since(d.toldAt) >= logEvery {
		d.tellGivenUp()
	}
}

// tellGivenUp logs how many records were given up since it was told last; mu is
// held.
func (d *DB) tellGivenUp() {
	if d.givenUp == 0 {
		return
	}
	d.log.Error("task database does not keep up: records of ended tasks are not stored", "database", d.Name(), "records", d.givenUp,
		"queued_bytes", d.bytes, "error", d.status.Err)
	d.givenUp, d.toldAt = 0, time.Now()
}

// giveUp gives up the oldest queued changes that may be, until no more than
// these bytes are queued; mu is held.
func (d *DB) giveUp(bytes int64, may func(*Write) bool) {
	for _, w := range d.queue {
		if d.bytes <= bytes {
			return
		}
		if !w.dead && may(w) {
			d.forget(w)
			d.lost.Add(w.ID)
			d.status.Lost++
			d.givenUp++
		}
	}
}

var _ db.Reporter = (*DB)(nil)

// Stats returns the numbers of changes that wait to be stored and that were discarded.
func (d *DB) Stats() db.Stats {
	s := d.Status()
	return db.Stats{Queued: s.Queued, QueuedBytes: s.QueuedBytes, NotStored: s.Lost}
}

// ended reports whether a change may be discarded.
func ended(w *Write) bool {
	if w.Record != nil {
		return w.Record.Done()
	}
	return w.Change != nil && (w.Change.Set.Has(db.Completed) && !w.Change.Completed.IsZero() || w.Change.Set&^db.OutputFields == 0)
}

func (d *DB) signal() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// run writes batches until Close: changes gather for a moment, then all that
// are there are written, a batch at a time.
func (d *DB) run() {
	defer close(d.done)
	for {
		select {
		case <-d.wake:
			d.pause(d.o.Gather)
		case <-d.stop:
		}
		for d.write() {
		}
		d.probe()
		select {
		case <-d.stop:
			for d.write() { // what came while the last batch was written
			}
			return
		default:
		}
	}
}

// pause waits, unless the database is being closed.
func (d *DB) pause(t time.Duration) {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-d.stop:
	}
}

// Intervals between attempts.
const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 5 * time.Second
	logEvery   = time.Minute
)

// write writes a batch, however often that takes; false when there is none, or
// when the database is closed and the time for it is over.
func (d *DB) write() bool {
	batch := d.take()
	if len(batch) == 0 {
		return false
	}
	var logged time.Time
	for delay := firstRetry; ; delay = min(2*delay, lastRetry) {
		ctx, cancel := context.WithTimeout(d.ctx, d.o.SaveTimeout)
		refused, err := d.store.Write(ctx, batch)
		cancel()
		if err == nil {
			if !logged.IsZero() {
				d.log.Info("task database is written again", "database", d.Name())
			}
			d.written(batch, refused)
			return true
		}
		status := d.failed(err)
		if time.Since(logged) >= logEvery {
			logged = time.Now()
			d.log.Error("task database can't be written, trying again; tasks continue", "database", d.Name(), "error", err,
				"queued", status.Queued, "queued_bytes", status.QueuedBytes, "failures", status.Failures)
		}
		select {
		case <-d.stop:
			select {
			case <-d.ctx.Done():
				return false
			case <-time.After(firstRetry):
			}
		default:
			d.pause(delay)
		}
	}
}

// take moves the next batch from the queue into flight.
func (d *DB) take() []*Write {
	d.mu.Lock()
	defer d.mu.Unlock()
	var batch []*Write
	var size int64
	n := 0
	for ; n < len(d.queue) && len(batch) < batchChanges && size < batchBytes; n++ {
		w := d.queue[n]
		d.queue[n] = nil
		if w.dead {
			continue
		}
		batch = append(batch, w)
		size += w.size
		delete(d.waiting, w.ID)
		d.flight[w.ID] = w
	}
	d.queue = d.queue[n:]
	if len(d.queue) == 0 {
		d.queue = nil
	}
	return batch
}

// written takes a batch out of flight.
func (d *DB) written(batch []*Write, refused []Refusal) {
	d.down.set(nil)
	d.mu.Lock()
	for _, w := range batch {
		d.bytes -= w.size
	}
	clear(d.flight)
	d.shedAt = max(d.o.MaxQueued, min(d.shedAt, d.bytes+d.o.MaxQueued/16))
	d.status.Written += uint64(len(batch) - len(refused))
	d.status.Lost += uint64(len(refused))
	d.status.Err = nil
	if len(d.waiting) == 0 {
		d.tellGivenUp()
	}
	d.mu.Unlock()
	d.idle.Broadcast()
	if len(refused) > 0 {
		d.log.Error("records not stored", "database", d.Name(), "records", len(refused), "msg_id", refused[0].ID, "error", refused[0].Err)
	}
}

func (d *DB) failed(err error) Status {
	d.mu.Lock()
	d.status.Failures++
	d.status.Err = err
	d.mu.Unlock()
	return d.Status()
}

// probe lets reads through again once the store answers.
func (d *DB) probe() {
	for d.down.get() != nil {
		ctx, cancel := context.WithTimeout(context.Background(), d.o.LoadTimeout)
		err := d.store.Ping(ctx)
		cancel()
		if err == nil {
			d.down.set(nil)
			d.log.Info("task database answers again", "database", d.Name())
			return
		}
		select {
		case <-d.stop:
			return
		case <-d.wake: // there is something to write
			d.signal()
			return
		case <-time.After(d.o.LoadTimeout):
		}
	}
}

// state is why the store can't be read, nil when it can.
type state struct {
	mu    sync.Mutex
	cause error
}

func (s *state) set(cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cause = cause
}

func (s *state) get() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cause
}

// Close writes what is queued, for at most CloseWait, and closes the store.
func (d *DB) Close() error {
	if d.closed {
		return nil
	}
	d.closed = true
	close(d.stop)
	over := time.AfterFunc(d.o.CloseWait, d.cancel)
	<-d.done
	over.Stop()
	d.cancel()
	d.mu.Lock()
	d.tellGivenUp()
	d.mu.Unlock()
	s := d.Status()
	err := d.store.Close()
	if s.Queued > 0 {
		return fmt.Errorf("%s: %d records were not stored: %w", d.Name(), s.Queued, s.Err)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", d.Name(), err)
	}
	return nil
}

// Flush waits until nothing is queued.
func (d *DB) Flush() {
	d.mu.Lock()
	for len(d.waiting)+len(d.flight) > 0 {
		d.idle.Wait()
	}
	d.mu.Unlock()
}
