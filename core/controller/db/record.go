package db

import (
	"encoding/json"
	"math/bits"
	"time"
	"unicode/utf8"
)

// Record is all that is known of one task. Dictionaries are kept as the JSON
// text that was received and are decoded only when somebody asks; nil is null.
// A zero time is null, and so is an empty Queue, Resubmitted or Label.
//
// A record without Header is a stub: output of a task arrived, and the task
// itself has not been seen (yet).
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

// Stub tells whether only output of the task is known.
func (r *Record) Stub() bool { return r.Header == nil }

// Done tells whether nothing more is expected of the record, so that it may be
// dropped to make room: the task has ended, or was never seen.
func (r *Record) Done() bool { return !r.Completed.IsZero() || r.Stub() }

// RecordOverhead is what a record costs beside its bytes, about.
const RecordOverhead = 512

// Size is the memory that the record holds, about.
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

// MaxOutput bounds what is kept of a task's stdout, and of its stderr.
const MaxOutput = 16 << 20

// outputCut ends output that was longer.
const outputCut = "\n[more output was not kept]\n"

// AppendOutput appends text to what is kept of a stream, up to MaxOutput.
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

// Change is a partial update: the fields of Record that Set names replace
// those of the stored record. Stdout and Stderr are appended instead, as
// AppendOutput does.
type Change struct {
	Set Fields
	Record
}

// Apply carries a change out on a record in memory.
func (c *Change) Apply(r *Record) {
	for left := c.Set & AllFields; left != 0; left &= left - 1 {
		fieldTable[bits.TrailingZeros32(uint32(left))].copy(r, &c.Record)
	}
}

// Value answers a field for comparison: nil, a string, a time.Time, the value
// that a dictionary's JSON text decodes to, or a []any of byte strings.
func (r *Record) Value(f Field) any { return fieldTable[f].value(r) }

// AppendJSON appends a field as JSON text. Bytes that are no JSON text in UTF-8,
// which only a broken peer sends, become null. Buffers have no JSON form and become
// null as well.
func (r *Record) AppendJSON(dst []byte, f Field) []byte {
	switch v := fieldTable[f].raw(r).(type) {
	case string:
		return appendQuoted(dst, v)
	case []byte:
		if v != nil && utf8.Valid(v) && json.Valid(v) {
			return append(dst, v...)
		}
	case time.Time:
		if !v.IsZero() {
			return appendTime(dst, v)
		}
	}
	return append(dst, "null"...)
}

// appendQuoted appends a JSON string; what is not UTF-8 becomes U+FFFD.
func appendQuoted(dst []byte, s string) []byte {
	text, err := json.Marshal(s)
	if err != nil { // strings always marshal
		return append(dst, `""`...)
	}
	return append(dst, text...)
}

// timeLayout is how dates are written: UTC and microseconds.
const timeLayout = "2006-01-02T15:04:05.000000Z"

func appendTime(dst []byte, t time.Time) []byte {
	dst = append(dst, '"')
	dst = t.UTC().AppendFormat(dst, timeLayout)
	return append(dst, '"')
}
