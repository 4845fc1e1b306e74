package sockets

import (
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipcore/ipcore/core/sockets/curve"
	"github.com/ipcore/ipcore/core/sockets/zmtp"
)

// This file is the write side. Each connection has a queue of byte segments: small frames
// are copied into pooled chunks, large frames are referred to. Whoever flushes first
// writes without blocking; bytes that the kernel does not accept are written by a
// goroutine that ends when the queue is empty.

const (
	chunkSize = 32 << 10
	// writeBatch bounds the bytes of one write of the writer goroutine, so that progress
	// is noticed.
	writeBatch = 4 << 20
	// maxTryWrite bounds the bytes of one write that does not block.
	maxTryWrite = 64 << 10
	// maxQueuedTotal is the high-water mark of the process: over it, messages to peers
	// that have fairShare bytes or more queued are refused.
	maxQueuedTotal = 8 << 30
	fairShare      = 1 << 20
)

type (
	chunk [chunkSize]byte
	// smallChunk is for the small frames between two large ones, which would leave most
	// of a chunk empty.
	smallChunk [4 << 10]byte
)

var (
	chunks      = sync.Pool{New: func() any { return new(chunk) }}
	smallChunks = sync.Pool{New: func() any { return new(smallChunk) }}
)

// queuedTotal counts the bytes that are queued in the whole process.
var queuedTotal atomic.Int64

// segment is a run of bytes to write: part of a pooled chunk, or a large frame that may be
// shared with other connections. A large frame of an encrypted connection is sealed just
// before it is written: so its sender does not wait for that, and each connection has one
// sealed copy at a time. Until then the segment's counter is not 0.
type segment struct {
	b       []byte
	chunk   *chunk
	small   *smallChunk
	counter uint64 // to seal b with
	flags   byte   // to seal b with
}

// pooled reports whether the segment is part of a chunk, to which bytes can be appended.
func (s *segment) pooled() bool { return s.chunk != nil || s.small != nil }

// outbox is the send queue of a connection. Conn.mu guards it, except that the bytes of
// segments that are being written are read without the lock.
type outbox struct {
	segments []segment
	head     int   // index of the first segment that is not completely written
	bytes    int64 // queued, and not accepted by the kernel yet
	written  int64 // bytes that the kernel has accepted in all
	sealer   *curve.Sealer
	sent     Traffic
	writing  bool   // a goroutine is writing; others leave the queue to it
	refused  uint64 // messages, since the queue was last nearly empty
	watched  bool   // watch is running
	watch    *time.Timer

	// try and buffers belong to the goroutine that is writing.
	try     tryWriter
	buffers net.Buffers
}

// accepts reports whether another message may be queued.
func (o *outbox) accepts(limit int64) bool {
	return o.bytes < limit && (o.bytes < fairShare || queuedTotal.Load() < maxQueuedTotal)
}

// putFrame queues one frame.
func (o *outbox) putFrame(flags byte, body []byte) {
	if o.sealer != nil {
		o.putSealed(flags, body)
		return
	}
	var h [zmtp.LongHeader]byte
	o.putBytes(zmtp.PutHeader(&h, flags, len(body)))
	if len(body) >= LargeFrame {
		o.segments = append(o.segments, segment{b: body})
		o.addBytes(len(body))
		return
	}
	o.putBytes(body)
}

// putCommand queues a short command whose body is the parts in a row.
func (o *outbox) putCommand(parts ...[]byte) {
	if o.sealer != nil {
		o.putSealed(zmtp.FlagCommand, slices.Concat(parts...))
		return
	}
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	var h [zmtp.LongHeader]byte
	o.putBytes(zmtp.PutHeader(&h, zmtp.FlagCommand, n))
	for _, p := range parts {
		o.putBytes(p)
	}
}

// putSealed queues one sealed frame.
func (o *outbox) putSealed(flags byte, body []byte) {
	var h [zmtp.LongHeader]byte
	counter, head := o.sealer.Next(), zmtp.PutHeader(&h, 0, len(body)+curve.Overhead)
	n := len(head) + len(body) + curve.Overhead
	if len(body) >= LargeFrame {
		o.segments = append(o.segments, segment{b: body, counter: counter, flags: flags})
		o.addBytes(n)
		return
	}
	if room := o.reserve(n); room != nil {
		o.sealer.Seal(room[copy(room, head):], counter, flags, body)
		return
	}
	s := sealBuffers.Get().(*sealBuffer)
	o.sealer.Seal(s[copy(s[:], head):n], counter, flags, body)
	o.putBytes(s[:n])
	sealBuffers.Put(s)
}

// sealBuffer has the space to seal a frame that is then split among chunks.
type sealBuffer [LargeFrame + zmtp.LongHeader + curve.Overhead]byte

var sealBuffers = sync.Pool{New: func() any { return new(sealBuffer) }}

// sealHead seals the first segment unless that has been done. It releases c.mu, which the
// caller holds, while it does so. Only the goroutine that is writing may call it.
func (c *Conn) sealHead() {
	s := c.out.segments[c.out.head]
	if s.counter == 0 {
		return
	}
	c.mu.Unlock()
	var h [zmtp.LongHeader]byte
	head := zmtp.PutHeader(&h, 0, len(s.b)+curve.Overhead)
	sealed := make([]byte, len(head)+len(s.b)+curve.Overhead)
	c.out.sealer.Seal(sealed[copy(sealed, head):], s.counter, s.flags, s.b)
	c.mu.Lock()
	c.out.segments[c.out.head] = segment{b: sealed}
}

// minSplit is how many bytes must be left in a chunk for a sealed frame to be split.
const minSplit = 1 << 10

// reserve appends n contiguous bytes, for the caller to fill in. It returns nil if they do
// not fit into a chunk, or if too much of the last chunk would be left empty: a queue must
// not take much more memory than is counted.
func (o *outbox) reserve(n int) []byte {
	if n > chunkSize {
		return nil
	}
	if end := len(o.segments); end > o.head {
		s := &o.segments[end-1]
		if rest := cap(s.b) - len(s.b); s.pooled() && rest >= minSplit && rest < n {
			return nil
		}
	}
	o.addBytes(n)
	last := o.lastSegment(n)
	begin := len(last.b)
	last.b = last.b[:begin+n]
	return last.b[begin:]
}

// lastSegment returns the last segment if it has n bytes left, or a new one.
func (o *outbox) lastSegment(n int) *segment {
	if end := len(o.segments); end > o.head {
		s := &o.segments[end-1]
		switch {
		case !s.pooled() && n <= len(smallChunk{}):
			k := smallChunks.Get().(*smallChunk)
			o.segments = append(o.segments, segment{b: k[:0], small: k})
			return &o.segments[end]
		case s.pooled() && cap(s.b)-len(s.b) >= n:
			return s
		}
	}
	k := chunks.Get().(*chunk)
	o.segments = append(o.segments, segment{b: k[:0], chunk: k})
	return &o.segments[len(o.segments)-1]
}

// putBytes appends bytes to the last chunk, and to new chunks when it is full.
func (o *outbox) putBytes(p []byte) {
	o.addBytes(len(p))
	for len(p) > 0 {
		last := o.lastSegment(1)
		n := min(len(p), cap(last.b)-len(last.b))
		last.b = append(last.b, p[:n]...)
		p = p[n:]
	}
}

func (o *outbox) addBytes(n int) {
	o.bytes += int64(n)
	queuedTotal.Add(int64(n))
}

// consume removes n written bytes from the queue.
func (o *outbox) consume(n int) {
	o.bytes -= int64(n)
	o.written += int64(n)
	queuedTotal.Add(int64(-n))
	for n > 0 {
		s := &o.segments[o.head]
		if n < len(s.b) {
			s.b = s.b[n:]
			return
		}
		n -= len(s.b)
		o.dropHead()
	}
}

// dropHead removes the first segment.
func (o *outbox) dropHead() {
	switch s := &o.segments[o.head]; {
	case s.chunk != nil:
		chunks.Put(s.chunk)
	case s.small != nil:
		smallChunks.Put(s.small)
	}
	o.segments[o.head] = segment{}
	o.head++
	switch {
	case o.head == len(o.segments):
		o.segments, o.head = o.segments[:0], 0
		if cap(o.segments) > 64 {
			o.segments = nil
		}
	case o.head >= 1024 && o.head*2 > len(o.segments):
		o.segments = o.segments[:copy(o.segments, o.segments[o.head:])]
		o.head = 0
	}
}

// discard empties the queue of a connection that has ended. If a goroutine is still
// writing, it does nothing: that goroutine calls it again.
func (o *outbox) discard() {
	if o.writing {
		return
	}
	queuedTotal.Add(-o.bytes)
	o.bytes = 0
	for o.head < len(o.segments) {
		o.dropHead()
	}
	o.segments, o.buffers = nil, nil
}

// Flush writes what is queued without blocking. Bytes that the kernel does not accept at
// once are written by a goroutine of the connection.
func (c *Conn) Flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out.writing || c.err != nil {
		return
	}
	c.out.writing = true
	if c.expected.Load() >= coalesceFrom {
		c.lastFlush.Store(int64(time.Since(epoch)))
	}
	for round := 0; c.err == nil && c.out.bytes > 0; round++ {
		b := c.out.segments[c.out.head].b
		b = b[:min(len(b), maxTryWrite)]
		if round == 8 || c.out.segments[c.out.head].counter != 0 {
			c.startWriter()
			return
		}
		c.mu.Unlock()
		n, err := c.out.try.write(b)
		c.mu.Lock()
		if err != nil {
			c.stopWriting()
			c.mu.Unlock()
			c.fail(err)
			c.mu.Lock()
			return
		}
		c.out.consume(n)
		c.checkCaughtUp()
		if n < len(b) {
			c.startWriter()
			return
		}
	}
	c.stopWriting()
}

// stopWriting lets other goroutines write. The caller holds c.mu.
func (c *Conn) stopWriting() {
	c.out.writing = false
	if c.err != nil {
		c.out.discard()
	}
	if c.out.bytes == 0 {
		c.signalDrained()
	}
}

// startWriter leaves the queue to a new goroutine. The caller holds c.mu and has set
// writing.
func (c *Conn) startWriter() {
	c.s.wg.Go(c.drain)
}

// drain writes until the queue is empty or the connection ends.
func (c *Conn) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.err == nil && c.out.bytes > 0 {
		c.sealHead()
		all, size := c.out.buffers[:0], 0
		for i := c.out.head; i < len(c.out.segments) && size < writeBatch && len(all) < 64; i++ {
			if c.out.segments[i].counter != 0 {
				break
			}
			b := c.out.segments[i].b
			b = b[:min(len(b), writeBatch-size)]
			all, size = append(all, b), size+len(b)
		}
		c.out.buffers = all
		c.mu.Unlock()
		n, err := all.WriteTo(c.tcp)
		c.mu.Lock()
		c.out.consume(int(n))
		c.checkCaughtUp()
		clear(c.out.buffers)
		if err != nil {
			c.mu.Unlock()
			c.fail(err)
			c.mu.Lock()
		}
	}
	c.stopWriting()
}

// dirtyList is a stack of the connections that have something to flush.
var dirtyList atomic.Pointer[Conn]

// markDirty puts a connection on the list of FlushAll unless it is on it.
func (c *Conn) markDirty() {
	if !c.dirty.Swap(true) {
		c.pushDirty()
	}
}

// pushDirty puts a connection whose dirty flag is set on the list.
func (c *Conn) pushDirty() {
	for {
		head := dirtyList.Load()
		c.nextDirty = head
		if dirtyList.CompareAndSwap(head, c) {
			return
		}
	}
}

// FlushAll writes, as Flush does, what has been enqueued on any connection of the process.
// Readers call it after each read. A goroutine that replies to messages in batches calls
// it after each batch.
func FlushAll() {
	c := dirtyList.Swap(nil)
	for c != nil {
		next := c.nextDirty
		if c.mayCoalesce() {
			c.pushDirty()
			flushLater()
		} else {
			c.nextDirty = nil
			c.dirty.Store(false)
			c.Flush()
		}
		c = next
	}
}
