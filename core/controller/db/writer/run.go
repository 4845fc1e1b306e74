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

// ErrExists is the refusal of a record whose id exists already.
var ErrExists = errors.New("a record with this id exists")

// Status is the state of the writing goroutine.
type Status struct {
	Queued      int    // changes that are queued or being written
	QueuedBytes int64  // their approximate size
	Written     uint64 // changes
	Lost        uint64 // changes that were discarded or refused
	Failures    uint64 // attempts to write a batch that failed
	Err         error  // the last failure; nil after a batch was written
}

// Status returns the state of the writing goroutine.
func (d *DB) Status() Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.status
	s.Queued, s.QueuedBytes = len(d.waiting)+len(d.flight), d.bytes
	return s
}

// Limits of a batch.
const (
	batchChanges = 2000
	batchBytes   = 8 << 20
)

// changeOverhead is about the memory in bytes that a queued change needs in addition
// to its fields.
const changeOverhead = 256

// enqueue adds an empty change to the queue. mu must be held.
func (d *DB) enqueue(id string) *Write {
	w := &Write{ID: id}
	d.queue = append(d.queue, w)
	d.waiting[id] = w
	d.signal()
	return w
}

// discard removes a change from the queue. mu must be held.
func (d *DB) discard(w *Write) {
	w.discarded = true
	w.Record, w.Change = nil, nil
	d.bytes -= w.size
	delete(d.waiting, w.ID)
}

// resize updates the counted size of a change, and discards changes if too many bytes
// are queued. mu must be held.
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
	if d.bytes > d.shedThreshold {
		d.shed()
	}
}

// shed discards the oldest queued changes of ended tasks. mu must be held. Whole records
// are discarded first. Ends of tasks whose beginning is stored, or being written, may
// exceed the limit by a quarter: without its end, a task would stay pending forever.
func (d *DB) shed() {
	step := d.o.MaxQueued / 16
	d.giveUp(d.o.MaxQueued-step, func(w *Write) bool { return w.Record != nil && w.Record.Done() })
	d.giveUp(d.o.MaxQueued+4*step, expendable)
	d.queue = slices.DeleteFunc(d.queue, func(w *Write) bool { return w.discarded })
	d.shedThreshold = max(d.o.MaxQueued, d.bytes+step)
	if time.Since(d.loggedAt) >= logEvery {
		d.logGivenUp()
	}
}

// logGivenUp logs how many records were discarded since it was logged last. mu must be
// held.
func (d *DB) logGivenUp() {
	if d.givenUp == 0 {
		return
	}
	d.log.Error("task database is too slow: records of ended tasks are discarded", "database", d.Name(), "records", d.givenUp,
		"queued_bytes", d.bytes, "error", d.status.Err)
	d.givenUp, d.loggedAt = 0, time.Now()
}

// giveUp discards the oldest queued changes for which may is true, until at most bytes
// are queued. mu must be held.
func (d *DB) giveUp(bytes int64, may func(*Write) bool) {
	for _, w := range d.queue {
		if d.bytes <= bytes {
			return
		}
		if !w.discarded && may(w) {
			d.discard(w)
			d.lost.Add(w.ID)
			d.status.Lost++
			d.givenUp++
		}
	}
}

var _ db.Reporter = (*DB)(nil)

// Stats returns the size of the queue, and how many changes were discarded.
func (d *DB) Stats() db.Stats {
	s := d.Status()
	return db.Stats{Queued: s.Queued, QueuedBytes: s.QueuedBytes, NotStored: s.Lost}
}

// expendable reports whether a change may be discarded.
func expendable(w *Write) bool {
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

// run writes batches until Close: it lets changes gather for a moment, then writes all
// queued ones, batch by batch.
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
			for d.write() { // changes queued while the last batch was written
			}
			return
		default:
		}
	}
}

// pause waits for t, or until the database is being closed.
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

// write writes a batch, with as many attempts as that takes. It returns false if the
// queue is empty, or if the database is being closed and CloseWait is over.
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
				d.log.Info("task database can be written again", "database", d.Name())
			}
			d.written(batch, refused)
			return true
		}
		status := d.failed(err)
		if time.Since(logged) >= logEvery {
			logged = time.Now()
			d.log.Error("task database can't be written, trying again; tasks are not affected", "database", d.Name(), "error", err,
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

// take moves the next batch from the queue into flight and returns it.
func (d *DB) take() []*Write {
	d.mu.Lock()
	defer d.mu.Unlock()
	var batch []*Write
	var size int64
	n := 0
	for ; n < len(d.queue) && len(batch) < batchChanges && size < batchBytes; n++ {
		w := d.queue[n]
		d.queue[n] = nil
		if w.discarded {
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

// written removes a written batch from flight.
func (d *DB) written(batch []*Write, refused []Refusal) {
	d.down.set(nil)
	d.mu.Lock()
	for _, w := range batch {
		d.bytes -= w.size
	}
	clear(d.flight)
	d.shedThreshold = max(d.o.MaxQueued, min(d.shedThreshold, d.bytes+d.o.MaxQueued/16))
	d.status.Written += uint64(len(batch) - len(refused))
	d.status.Lost += uint64(len(refused))
	d.status.Err = nil
	if len(d.waiting) == 0 {
		d.logGivenUp()
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

// probe waits until the store responds, and then allows reads again. It returns early
// if a change is queued.
func (d *DB) probe() {
	for d.down.get() != nil {
		ctx, cancel := context.WithTimeout(context.Background(), d.o.LoadTimeout)
		err := d.store.Ping(ctx)
		cancel()
		if err == nil {
			d.down.set(nil)
			d.log.Info("task database responds again", "database", d.Name())
			return
		}
		select {
		case <-d.stop:
			return
		case <-d.wake: // a change is queued
			d.signal()
			return
		case <-time.After(d.o.LoadTimeout):
		}
	}
}

// readFailure is why the store can't be read; nil if it can.
type readFailure struct {
	mu    sync.Mutex
	cause error
}

func (s *readFailure) set(cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cause = cause
}

func (s *readFailure) get() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cause
}

// Close writes the queued changes, for at most CloseWait, and closes the store. It
// returns an error if records were not stored.
func (d *DB) Close() error {
	if d.closed {
		return nil
	}
	d.closed = true
	close(d.stop)
	timeout := time.AfterFunc(d.o.CloseWait, d.cancel)
	<-d.done
	timeout.Stop()
	d.cancel()
	d.mu.Lock()
	d.logGivenUp()
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

// Flush waits until all queued changes are written.
func (d *DB) Flush() {
	d.mu.Lock()
	for len(d.waiting)+len(d.flight) > 0 {
		d.idle.Wait()
	}
	d.mu.Unlock()
}
