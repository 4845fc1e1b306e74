package wire

import (
	"errors"
	"sync/atomic"
)

// Refusals counts messages that were not accepted, by what is wrong with them.
// The zero value is ready; it is safe for concurrent use.
type Refusals struct{ signature, replay, malformed atomic.Uint64 }

// RefusalStats are the numbers of Refusals.
type RefusalStats struct {
	Signature uint64 // not signed, or not with this key
	Replay    uint64 // seen before
	Malformed uint64 // anything else
}

// Count counts one message by the error that refused it.
func (r *Refusals) Count(err error) {
	switch {
	case errors.Is(err, ErrUnsigned), errors.Is(err, ErrBadSignature):
		r.signature.Add(1)
	case errors.Is(err, ErrReplay):
		r.replay.Add(1)
	default:
		r.malformed.Add(1)
	}
}

// Stats answers the numbers.
func (r *Refusals) Stats() RefusalStats {
	return RefusalStats{Signature: r.signature.Load(), Replay: r.replay.Load(), Malformed: r.malformed.Load()}
}
