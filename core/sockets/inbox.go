package sockets

import (
	"io"
	"runtime"
	"strings"
	"unsafe"

	"github.com/ipcore/ipcore/core/sockets/curve"
	"github.com/ipcore/ipcore/core/sockets/zmtp"
)

// This file is the read side. The connection's reader goroutine finds messages in a
// buffer and passes them to the Handler as slices of it. A frame that does not fit gets
// memory of its own and is read straight into it. When the buffer is full of small frames
// of one message, these are moved to another slice, the spill. Commands may come between
// the frames of a message and are handled at once.

const (
	idleBuffer  = 1 << 10 // buffer of a new connection; many never need more
	smallBuffer = 4 << 10
	largeBuffer = 32 << 10
	// separateFrom is the size from which a frame that is not completely in the buffer
	// gets memory of its own.
	separateFrom = largeBuffer / 2
	// firstAllocation is the memory for a large frame before any of it has been
	// received. Later the memory is at most allocationGrowth times what was received.
	firstAllocation   = 1 << 20
	trustedAllocation = 256 << 20 // the first allocation for a peer that is trusted
	allocationGrowth  = 16
	// readAhead is the number of messages after which the replies are flushed even if
	// there is more to read, which might lead to writes to the same peers.
	readAhead = 512
	// yieldBelow is the number of messages since the last flush up to which other
	// readers may run before the next one: they may have messages for the same peers.
	yieldBelow = 16
)

// frameRef says where one frame of the message that is being read is.
type frameRef struct {
	separate []byte // the frame's own memory, or nil
	off, n   int    // otherwise the place in the buffer, or in the spill
	spilled  bool
}

// inbox is the read side of a connection. Its reader goroutine owns it.
type inbox struct {
	c         *Conn
	r         io.Reader // the connection
	buf       []byte
	start     int // first byte of the message that is being read
	pos       int // first byte that is not yet parsed
	end       int // bytes in buf
	frames    []frameRef
	spill     []byte
	bytes     int64 // of the message, so far
	views     [][]byte
	delivered int  // messages passed to the Handler since the last flush
	filled    bool // the last read filled the buffer
	trusted   bool // see Conn.Trust
	opener    *curve.Opener
	traffic   Traffic
}

// nonblockingReader is a reader that can return without waiting.
type nonblockingReader interface {
	// tryRead reads what has arrived already, possibly nothing.
	tryRead(b []byte) (int, error)
}

// fill reads once into the buffer, which must have room. If the last read filled the
// buffer, there may be more to read at once; then it tries that before it flushes.
func (in *inbox) fill() error {
	in.c.received.set(in.traffic)
	room := in.buf[in.end:]
	n, err := 0, error(nil)
	if in.filled && in.delivered < readAhead {
		if ahead, ok := in.r.(nonblockingReader); ok {
			n, err = ahead.tryRead(room)
		}
	}
	if n == 0 && err == nil {
		in.flush()
		n, err = in.r.Read(room)
	}
	in.filled = n == len(room)
	in.end += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// flush writes what the Handler has enqueued since the last flush.
func (in *inbox) flush() {
	if in.delivered == 0 {
		if dirtyList.Load() != nil {
			FlushAll() // a reply to a command
		}
		return
	}
	few := in.delivered <= yieldBelow
	in.delivered = 0
	afterRead := in.c.s.o.AfterRead
	if afterRead == nil && dirtyList.Load() == nil {
		return
	}
	if few {
		runtime.Gosched()
	}
	if afterRead != nil {
		afterRead()
	}
	FlushAll()
}

// readLoop reads until the connection ends and returns why it ended.
func (in *inbox) readLoop() error {
	if in.buf == nil {
		in.buf = make([]byte, idleBuffer)
	}
	for {
		flags, size, head := zmtp.ParseHeader(in.buf[in.pos:in.end])
		if head == 0 {
			if err := in.readMore(zmtp.LongHeader); err != nil {
				return err
			}
			continue
		}
		if err := in.check(flags, size); err != nil {
			return err
		}
		body := in.pos + head
		if size <= uint64(in.end-body) {
			if err := in.addFrame(flags, frameRef{off: body, n: int(size)}); err != nil {
				return err
			}
			continue
		}
		if size < separateFrom {
			if err := in.readMore(head + int(size)); err != nil {
				return err
			}
			continue
		}
		own, err := in.readSeparate(int(size), body)
		if err != nil {
			return err
		}
		if err := in.addFrame(flags, frameRef{separate: own}); err != nil {
			return err
		}
	}
}

// check refuses a frame by its header, before memory is allocated for it.
func (in *inbox) check(flags byte, size uint64) error {
	l := &in.c.s.o.Limits
	if in.opener != nil {
		if flags&^zmtp.FlagLong != 0 || size < uint64(curve.Overhead) {
			return curve.ErrNotSealed
		}
		size -= uint64(curve.Overhead)
	}
	switch {
	case flags&^zmtp.FlagsKnown != 0:
		return zmtp.Errorf("frame with reserved flags %#x", flags)
	case flags&zmtp.FlagCommand != 0 && flags&zmtp.FlagMore != 0:
		return zmtp.ProtocolError("command with the flag MORE")
	case flags&zmtp.FlagCommand != 0 && size > zmtp.MaxCommand:
		return zmtp.Errorf("command of %d bytes: at most %d", size, zmtp.MaxCommand)
	case size > uint64(l.MaxFrame):
		return zmtp.Errorf("frame of %d bytes: at most %d", size, l.MaxFrame)
	case in.bytes+int64(size) > l.MaxMessage:
		return zmtp.Errorf("message of more than %d bytes", l.MaxMessage)
	case len(in.frames) >= l.MaxFrames && flags&zmtp.FlagCommand == 0:
		return zmtp.Errorf("message of more than %d frames", l.MaxFrames)
	}
	return nil
}

// addFrame handles one complete frame. A frame without memory of its own is in the buffer,
// at the end of the parsed part.
func (in *inbox) addFrame(flags byte, p frameRef) error {
	body := p.separate
	if body == nil {
		body = in.buf[p.off : p.off+p.n]
		in.pos = p.off + p.n
	}
	if in.opener != nil {
		var err error
		if flags, err = in.opener.Open(body); err != nil {
			return err
		}
		body = body[curve.Overhead:]
		if p.separate != nil {
			p.separate = body
		} else {
			p.off, p.n = p.off+curve.Overhead, len(body)
		}
		if flags == zmtp.FlagCommand && len(body) > zmtp.MaxCommand {
			return zmtp.Errorf("command of %d bytes: at most %d", len(body), zmtp.MaxCommand)
		}
	}
	if flags&zmtp.FlagCommand != 0 {
		err := in.c.command(body)
		if len(in.frames) == 0 {
			in.start = in.pos
		}
		return err
	}
	in.frames = append(in.frames, p)
	in.bytes += int64(len(body))
	if flags&zmtp.FlagMore == 0 {
		in.deliver()
	}
	return nil
}

// deliver passes the message to the Handler and prepares for the next one.
func (in *inbox) deliver() {
	in.views = in.views[:0]
	for _, p := range in.frames {
		switch {
		case p.separate != nil:
			in.views = append(in.views, p.separate)
		case p.spilled:
			in.views = append(in.views, in.spill[p.off:p.off+p.n:p.off+p.n])
		default:
			in.views = append(in.views, in.buf[p.off:p.off+p.n:p.off+p.n])
		}
	}
	in.delivered++
	in.traffic.count(in.bytes)
	in.c.receive(in.views)
	clear(in.views)
	clear(in.frames)
	in.frames, in.start, in.bytes = in.frames[:0], in.pos, 0
	in.spill = in.spill[:0]
	if cap(in.spill) > largeBuffer || cap(in.views) > 256 {
		in.spill, in.views, in.frames = nil, nil, nil
	}
}

// receive passes a message on.
func (c *Conn) receive(frames [][]byte) {
	switch {
	case c.discard.Load():
	case c.s.kind == Pub:
		c.subscribeMessage(frames)
	case c.s.o.Handler != nil:
		c.s.o.Handler(c, frames)
	}
}

// readMore reads once, after making room for at least need bytes from pos on. The read may
// return fewer.
func (in *inbox) readMore(need int) error {
	if in.pos+need > len(in.buf) || in.end == len(in.buf) {
		in.makeRoom(need)
	}
	full := len(in.buf) - in.end
	if err := in.fill(); err != nil {
		return err
	}
	if len(in.buf) < largeBuffer && full > 0 && in.end == len(in.buf) {
		in.grow(in.end + 1) // a busy connection
	}
	return nil
}

// makeRoom moves bytes, or gets a larger buffer, so that need bytes fit from pos on.
func (in *inbox) makeRoom(need int) {
	if in.start > 0 {
		in.shift(in.start)
	}
	if in.pos+need > len(in.buf) && len(in.buf) < largeBuffer {
		in.grow(in.pos + need)
	}
	if in.pos+need <= len(in.buf) && in.end < len(in.buf) {
		return
	}
	// The buffer is full of frames of one message: move them to the spill.
	for i := range in.frames {
		p := &in.frames[i]
		if p.separate == nil && !p.spilled {
			off := len(in.spill)
			in.spill = append(in.spill, in.buf[p.off:p.off+p.n]...)
			p.off, p.spilled = off, true
		}
	}
	in.start = in.pos
	in.shift(in.pos)
}

// shift drops the first n bytes of the buffer.
func (in *inbox) shift(n int) {
	copy(in.buf, in.buf[n:in.end])
	in.start, in.pos, in.end = in.start-n, in.pos-n, in.end-n
	for i := range in.frames {
		if p := &in.frames[i]; p.separate == nil && !p.spilled {
			p.off -= n
		}
	}
}

// grow replaces the buffer by one of need bytes, or of the most that a buffer may have.
func (in *inbox) grow(need int) {
	size := largeBuffer
	if need <= smallBuffer {
		size = smallBuffer
	}
	buf := make([]byte, size)
	copy(buf, in.buf[:in.end])
	in.buf = buf
}

// unzeroed returns n > 0 bytes of memory that is not cleared: that of a strings.Builder.
// The caller must write them before anything reads them. Clearing 100 MiB takes nearly as
// long as reading them.
func unzeroed(n int) []byte {
	var b strings.Builder
	b.Grow(n)
	b.WriteByte(0)                                        // the address of an empty string is not specified
	return unsafe.Slice(unsafe.StringData(b.String()), n) //nolint:gosec // the string is dropped here; nothing else refers to these bytes
}

// readSeparate reads a frame of size bytes, whose body begins at off in the buffer, into
// memory of its own. If the peer is not trusted, the memory grows as bytes arrive, so a
// size that the peer merely claims costs little.
func (in *inbox) readSeparate(size, off int) ([]byte, error) {
	have := min(in.end-off, size)
	var own []byte
	if in.trusted {
		own = unzeroed(min(size, max(trustedAllocation, have)))
	} else {
		own = make([]byte, min(size, max(firstAllocation, have)))
	}
	copy(own, in.buf[off:in.end])
	in.pos = in.end
	in.flush()
	for {
		n, err := io.ReadFull(in.r, own[have:])
		have += n
		if err != nil {
			return nil, err
		}
		if have == size {
			break
		}
		larger := unzeroed(int(min(int64(size), int64(have)*allocationGrowth)))
		copy(larger, own)
		own = larger
	}
	// Nothing of the frame is in the buffer. If that is true of the other frames of the
	// message too, the buffer is free.
	if len(in.frames) == 0 {
		in.start, in.pos, in.end = 0, 0, 0
	}
	return own, nil
}
