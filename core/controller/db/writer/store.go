package writer

import (
	"context"
	"time"

	"github.com/ipcore/ipcore/core/controller/db"
)

// Store stores records on disk or on a server. Write and Ping are called by one
// goroutine, Load and Find concurrently by another one. All must return when their
// context ends.
type Store interface {
	// Name returns the backend's name as the controller logs it.
	Name() string
	// Precision returns the unit to which times are truncated.
	Precision() time.Duration
	// Local reports whether looking up an id takes only microseconds.
	Local() bool
	// Write applies all changes or returns an error. After an error it is called
	// again with the same changes, some of which may have been applied already.
	// Changes that can never be applied are returned as refused.
	Write(ctx context.Context, batch []*Write) (refused []Refusal, err error)
	// Load returns those of the records that exist, with at least the given fields,
	// in any order.
	Load(ctx context.Context, ids []string, fields db.Fields) ([]*db.Record, error)
	// Find returns the records that the query matches, with at least the given
	// fields, in the order in which they were added.
	Find(ctx context.Context, q db.Query, fields db.Fields) ([]*db.Record, error)
	// Ping returns an error if reads can't be expected to work.
	Ping(ctx context.Context) error
	Close() error
}

// Write is the change of one record.
type Write struct {
	ID string
	// Drop removes the record, before Record or Change is applied.
	Drop bool
	// Record is added. If the id exists already, the change is refused with
	// ErrExists, unless an earlier attempt at this batch has added it.
	Record *db.Record
	// Change replaces fields, including output. It does not create a missing record.
	Change *db.Change

	size      int64
	discarded bool // removed from the queue
}

// Refusal says why a change can't be applied.
type Refusal struct {
	ID  string
	Err error
}
