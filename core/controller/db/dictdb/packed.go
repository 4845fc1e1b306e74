package dictdb

import (
	"bytes"
	"encoding/binary"
	"time"
	"unsafe"

	"github.com/ipcore/ipcore/core/controller/db"
)

// A long history needs memory for its records, and the garbage collector scans every
// pointer in it. Therefore the record of an ended task is packed into one block of
// memory when hotRecords other tasks have ended after it. It is unpacked for readers.
const (
	hotRecords = 1024
	// maxPacked is the size in bytes up to which a record is packed. Larger frames
	// are shared with the messages that they came in, and not copied.
	maxPacked = 16 << 10
)

// hotRing holds the entries of the tasks that ended last, up to size.
type hotRing struct {
	size int
	ring []*entry
	next int
}

// push adds the entry of an ended task and returns the entry that it displaces, or
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

// share returns a copy of a record's first frame that is shared by consecutive
// records with the same frame: it is the pickled function, which a map sends with
// each of its tasks. It returns nil if the frame is too small.
func (d *DB) share(r *db.Record) *[]byte {
	if len(r.Buffers) == 0 || len(r.Buffers[0]) < minShared {
		return nil
	}
	if d.lastShared == nil || !bytes.Equal(*d.lastShared, r.Buffers[0]) {
		kept := bytes.Clone(r.Buffers[0])
		d.lastShared = &kept
	}
	return d.lastShared
}

// record returns the record of an entry. A packed one is unpacked for the caller.
func (e *entry) record() *db.Record {
	if e.hot != nil {
		return e.hot
	}
	return e.unpack()
}

// ensureUnpacked unpacks an entry's record if necessary, so that it can be changed.
func (e *entry) ensureUnpacked() {
	if e.hot == nil {
		e.hot, e.packed, e.shared = e.unpack(), nil, nil
	}
}

// pack packs an entry's record.
func (d *DB) pack(e *entry) {
	if e.hot == nil || e.size > maxPacked {
		return
	}
	r := e.hot
	e.shared = d.share(r)
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
	e.packed, e.hot = append(make([]byte, 0, len(b)), b...), nil
}

// unpack returns the packed record. It shares the packed memory.
func (e *entry) unpack() *db.Record {
	r := &db.Record{MsgID: e.id, Submitted: e.submitted, Completed: e.completed}
	c := packedReader{e.packed}
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

// appendPart appends the length of a string plus one, and the string; a 0 alone
// stands for null.
func appendPart[T string | []byte](b []byte, part T) []byte {
	b = binary.AppendUvarint(b, uint64(len(part))+1)
	return append(b, part...)
}

// packedReader reads a packed record.
type packedReader struct{ rest []byte }

func (c *packedReader) number() int {
	n, size := binary.Uvarint(c.rest)
	c.rest = c.rest[size:]
	return int(n)
}

func (c *packedReader) bytes() []byte {
	n := c.number()
	if n == 0 {
		return nil
	}
	part := c.rest[: n-1 : n-1]
	c.rest = c.rest[n-1:]
	return part
}

func (c *packedReader) text() string {
	part := c.bytes()
	return unsafe.String(unsafe.SliceData(part), len(part)) //nolint:gosec // packed records never change
}

func (c *packedReader) time() time.Time {
	seconds, size := binary.Varint(c.rest)
	c.rest = c.rest[size:]
	return time.Unix(seconds, int64(c.number())).UTC()
}
