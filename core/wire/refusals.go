package wire

import (
	"errors"
	"sync/atomic"
)

// Refusals counts refused messages by cause. The zero value is ready to use, and it is
// safe for concurrent use.
type Refusals struct{ signature, replay, malformed atomic.Uint64 }

// RefusalStats are the counters of Refusals.
type RefusalStats struct {
	Signature uint64 // no signature, or one made with another key
	Replay    uint64 // seen before
	Malformed uint64 // anything else
}

// Count counts one message by the error with which it was refused.
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

// Stats returns the counters.
func (r *Refusals) Stats() RefusalStats {
	return RefusalStats{Signature: r.signature.Load(), Replay: r.replay.Load(), Malformed: r.malformed.Load()}
}
