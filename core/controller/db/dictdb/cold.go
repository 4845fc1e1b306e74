package dictdb

import (
	"bytes"
	"encoding/binary"
	"time"
	"unsafe"

	"github.com/ipcore/ipcore/core/controller/db"
)

// A long history costs what its records take in memory, and the collector a look
// at each pointer in it. So the record of a task that ended hotRecords ends ago is
// packed into one piece of memory, and unpacked for who asks.
const (
	hotRecords = 1024
	// maxCold is the size in bytes up to which a record is packed: large frames
	// are shared with the messages that they came in, not copied.
	maxCold = 16 << 10
)

// hotRing is the entries whose tasks ended last, size of them.
type hotRing struct {
	size int
	ring []*entry
	next int
}

// push takes an entry that has ended and answers the one that is no longer hot, or
// nil.
func (h *hotRing) push(e *entry) *entry {
	if len(h.ring) < h.size {
		h.ring = append(h.ring, e)
		return nil
	}
	old := h.ring[h.next]
	h.ring[h.next] = e
	h.next = (h.next + 1) % h.size
	return old
}

// minShared is the size in bytes from which the first frame of a request is shared.
const minShared = 64

// shared returns a record's first frame as memory that is kept for all records in
// a row that have the same: it is the pickled function, and a map sends one with
// each of its tasks. nil means that there is none.
func (d *DB) shared(r *db.Record) *[]byte {
	if len(r.Buffers) == 0 || len(r.Buffers[0]) < minShared {
		return nil
	}
	if d.common == nil || !bytes.Equal(*d.common, r.Buffers[0]) {
		kept := bytes.Clone(r.Buffers[0])
		d.common = &kept
	}
	return d.common
}

// record returns the record of an entry; a packed record is unpacked for the caller.
func (e *entry) record() *db.Record {
	if e.hot != nil {
		return e.hot
	}
	return e.unpacked()
}

// thaw makes an entry's record one that can be changed.
func (e *entry) thaw() {
	if e.hot == nil {
		e.hot, e.cold, e.shared = e.unpacked(), nil, nil
	}
}

// freeze packs an entry's record.
func (d *DB) freeze(e *entry) {
	if e.hot == nil || e.size > maxCold {
		return
	}
	r := e.hot
	e.shared = d.shared(r)
	b := make([]byte, 0, e.size)
	for _, text := range textsOf(r) {
		b = appendPart(b, *text)
	}
	for _, text := range [...]*string{r.EngineUUID, r.ExecuteInput} {
		if text == nil {
			b = append(b, 0)
		} else {
			b = appendPart(b, *text)
		}
	}
	for _, part := range partsOf(r) {
		if *part == nil {
			b = append(b, 0)
		} else {
			b = appendPart(b, *part)
		}
	}
	for n, list := range [...][][]byte{r.Buffers, r.ResultBuffers} {
		b = binary.AppendUvarint(b, uint64(len(list)))
		for i, part := range list {
			if n == 0 && i == 0 && e.shared != nil {
				b = append(b, 0)
			} else {
				b = appendPart(b, part)
			}
		}
	}
	for _, t := range [...]time.Time{r.Started, r.Received} {
		b = binary.AppendVarint(b, t.Unix())
		b = binary.AppendUvarint(b, uint64(t.Nanosecond()))
	}
	e.cold, e.hot = append(make([]byte, 0, len(b)), b...), nil
}

// unpacked makes the record that freeze has packed. It shares the packed memory.
func (e *entry) unpacked() *db.Record {
	r := &db.Record{MsgID: e.id, Submitted: e.submitted, Completed: e.completed}
	c := coldReader{e.cold}
	for _, text := range textsOf(r) {
		*text = c.text()
	}
	for _, text := range [...]**string{&r.EngineUUID, &r.ExecuteInput} {
		if part := c.bytes(); part != nil {
			s := unsafe.String(unsafe.SliceData(part), len(part)) //nolint:gosec // packed records never change
			*text = &s
		}
	}
	for _, part := range partsOf(r) {
		*part = c.bytes()
	}
	for _, list := range [...]*[][]byte{&r.Buffers, &r.ResultBuffers} {
		if n := c.number(); n > 0 {
			*list = make([][]byte, n)
			for i := range *list {
				(*list)[i] = c.bytes()
			}
		}
	}
	if e.shared != nil {
		r.Buffers[0] = *e.shared
	}
	r.Started, r.Received = c.time(), c.time()
	return r
}

// textsOf returns the strings of a record except its id.
func textsOf(r *db.Record) [4]*string {
	return [...]*string{&r.ClientUUID, &r.Resubmitted, &r.Queue, &r.Label}
}

// partsOf returns the byte strings of a record.
func partsOf(r *db.Record) [10]*[]byte {
	return [...]*[]byte{
		&r.Header, &r.Metadata, &r.Content, &r.ResultHeader, &r.ResultMetadata, &r.ResultContent,
		&r.ExecuteResult, &r.Error, &r.Stdout, &r.Stderr,
	}
}

// appendPart appends a string after its length and one; 0 alone stands for null.
func appendPart[T string | []byte](b []byte, part T) []byte {
	b = binary.AppendUvarint(b, uint64(len(part))+1)
	return append(b, part...)
}

// coldReader reads a packed record.
type coldReader struct{ rest []byte }

func (c *coldReader) number() int {
	n, size := binary.Uvarint(c.rest)
	c.rest = c.rest[size:]
	return int(n)
}

func (c *coldReader) bytes() []byte {
	n := c.number()
	if n == 0 {
		return nil
	}
	part := c.rest[: n-1 : n-1]
	c.rest = c.rest[n-1:]
	return part
}

func (c *coldReader) text() string {
	part := c.bytes()
	return unsafe.String(unsafe.SliceData(part), len(part)) //nolint:gosec // packed records never change
}

func (c *coldReader) time() time.Time {
	seconds, size := binary.Varint(c.rest)
	c.rest = c.rest[size:]
	return time.Unix(seconds, int64(c.number())).UTC()
}
