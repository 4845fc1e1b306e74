package hub

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/ipcore/ipcore/core/controller/db"
	"github.com/ipcore/ipcore/core/wire"
)

// Stats describe what a hub knows and has seen.
type Stats struct {
	Engines    int // registered
	Pending    int // engines that are registering
	Unanswered int // requests and tasks without a reply

	// Counted since the start.
	Registered       uint64 // engines
	Left             uint64 // engines that unregistered or shut down
	Lost             uint64 // engines that were lost
	Abandoned        uint64 // registrations that did not complete
	NotRecorded      uint64 // messages dropped while the hub was behind
	NotRecordedBytes int64
	Errors           uint64 // errors of the database
	Refused          wire.RefusalStats

	Records db.Stats

	Backlog      int // messages that wait for the hub
	BacklogBytes int64
}

// snapshot is the hub's numbers as other goroutines see them.
type snapshot struct {
	handling atomic.Int64 // bytes of the batch that is being handled

	mu      sync.Mutex
	stats   Stats
	waiting map[chan struct{}]struct{} // by Probe; closed when the hub's goroutine has come past
}

// publishStats updates the snapshot. It is called after each batch and each time
// that the hub wakes up.
func (h *Hub) publishStats() {
	h.stats.Pending, h.stats.Unanswered = len(h.pending.byID), h.unanswered
	if d, ok := h.db.(db.Reporter); ok {
		h.stats.Records = d.Stats()
		h.stats.Records.Records += h.deferred.n
		h.stats.Records.Bytes += h.deferred.bytes
	}
	b := &h.snapshot
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stats = h.stats
	for asked := range b.waiting {
		close(asked)
	}
	clear(b.waiting)
}

// Stats returns the current numbers; those that the hub's goroutine counts are from
// its last batch.
func (h *Hub) Stats() Stats {
	h.snapshot.mu.Lock()
	s := h.snapshot.stats
	h.snapshot.mu.Unlock()
	s.Refused = h.refusals.Stats()
	s.Backlog, s.BacklogBytes = h.backlog.waiting()
	s.BacklogBytes += h.snapshot.handling.Load()
	return s
}

// waiting returns how much waits in the backlog.
func (b *backlog) waiting() (events int, bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.current == nil {
		return 0, 0
	}
	return len(b.current.order), b.current.bytes
}

// Probe returns nil when the hub's goroutine responds, and an error if it does not
// before ctx ends.
func (h *Hub) Probe(ctx context.Context) error {
	asked := make(chan struct{})
	b := &h.snapshot
	b.mu.Lock()
	if b.waiting == nil {
		b.waiting = make(map[chan struct{}]struct{})
	}
	b.waiting[asked] = struct{}{}
	b.mu.Unlock()
	h.backlog.signal()
	select {
	case <-asked:
		return nil
	case <-ctx.Done():
		b.mu.Lock()
		delete(b.waiting, asked)
		b.mu.Unlock()
		return fmt.Errorf("the hub does not reply: %w", ctx.Err())
	}
}
