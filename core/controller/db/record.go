package db

import (
	"math/bits"
	"time"
)

// Record is all that is known of one task. Dictionaries are kept as the JSON text
// that was received and are decoded only on request; nil means null. A zero time is
// null, and so is an empty ClientUUID, Queue, Resubmitted or Label.
//
// A record without Header is a stub: output of a task has arrived, but not (yet) the
// task itself.
type Record struct {
	MsgID    string
	Header   []byte
	Metadata []byte
	Content  []byte
	Buffers  [][]byte

	Submitted   time.Time
	ClientUUID  string
	EngineUUID  *string // nil is null; "" when the reply did not name its engine
	Started     time.Time
	Completed   time.Time
	Resubmitted string // the msg_id of the newer task
	Received    time.Time

	ResultHeader   []byte
	ResultMetadata []byte
	ResultContent  []byte
	ResultBuffers  [][]byte

	Queue string // "mux" or "task"

	ExecuteInput  *string
	ExecuteResult []byte
	Error         []byte
	Stdout        []byte
	Stderr        []byte

	Label string
}

// Stub reports whether only output of the task is known.
func (r *Record) Stub() bool { return r.Header == nil }

// Done reports whether no more changes of the record are expected, so that it may be
// dropped to free memory: the task has ended, or was never seen.
func (r *Record) Done() bool { return !r.Completed.IsZero() || r.Stub() }

// RecordOverhead is about the memory in bytes that a record needs in addition to its
// fields.
const RecordOverhead = 512

// Size returns about the memory in bytes that the record needs.
func (r *Record) Size() int64 {
	n := RecordOverhead + len(r.Header) + len(r.Metadata) + len(r.Content) + len(r.ResultHeader) + len(r.ResultMetadata) +
		len(r.ResultContent) + len(r.ExecuteResult) + len(r.Error) + len(r.Stdout) + len(r.Stderr)
	if r.ExecuteInput != nil {
		n += len(*r.ExecuteInput)
	}
	for _, b := range r.Buffers {
		n += len(b)
	}
	for _, b := range r.ResultBuffers {
		n += len(b)
	}
	return int64(n)
}

// MaxOutput is how many bytes are kept of a task's stdout, and of its stderr.
const MaxOutput = 16 << 20

// outputCut is appended to output that was longer.
const outputCut = "\n[more output was not kept]\n"

// AppendOutput appends text to the kept part of a stream, up to MaxOutput.
func AppendOutput(kept, text []byte) []byte {
	room := MaxOutput - len(kept)
	switch {
	case room <= 0:
		return kept
	case len(text) > room:
		return append(append(kept, text[:room]...), outputCut...)
	}
	return append(kept, text...)
}

// Change is a partial update: the fields of Record that Set names replace those of
// the stored record. Stdout and Stderr are appended instead, as AppendOutput does.
type Change struct {
	Set Fields
	Record
}

// Apply applies the change to a record in memory.
func (c *Change) Apply(r *Record) {
	for left := c.Set & AllFields; left != 0; left &= left - 1 {
		columns[bits.TrailingZeros32(uint32(left))].apply(r, &c.Record)
	}
}
