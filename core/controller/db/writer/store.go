package writer

import (
	"context"
	"time"

	"github.com/ipcore/ipcore/core/controller/db"
)

// Store is where records end up. Write and Ping are called by one goroutine,
// Load and Find by another one, at the same time. All end when their context
// does.
type Store interface {
	// Name is the backend's name as the controller logs it.
	Name() string
	// Precision is the unit of the times that are kept.
	Precision() time.Duration
	// Local says that a lookup of an id takes microseconds.
	Local() bool
	// Write carries out all changes or answers an error. After an error it is
	// called again with the same changes, of which some may have been carried
	// out. Changes that can never be carried out are answered as refused.
	Write(ctx context.Context, batch []*Write) (refused []Refusal, err error)
	// Load returns the records that exist, with at least the fields
	// that are named, in any order.
	Load(ctx context.Context, ids []string, fields db.Fields) ([]*db.Record, error)
	// Find returns the records that the query matches, with at least the fields
	// that are named, in the order in which they were added.
	Find(ctx context.Context, q db.Query, fields db.Fields) ([]*db.Record, error)
	// Ping reports whether reads can be expected to work.
	Ping(ctx context.Context) error
	Close() error
}

// Write is the change of one record.
type Write struct {
	ID string
	// Drop removes the record, before what follows is done.
	Drop bool
	// Record is added, unless the id exists: then the change is refused with
	// ErrExists, unless an earlier attempt at this batch added it.
	Record *db.Record
	// Change replaces fields, output too. A record that is not there stays so.
	Change *db.Change

	size int64
	dead bool // taken out of the queue
}

// Refusal says why a change can't be carried out.
type Refusal struct {
	ID  string
	Err error
}
