package sockets

import (
	"io"
	"runtime"
	"strings"
	"unsafe"

	"github.com/ipcore/ipcore/core/sockets/curve"
	"github.com/ipcore/ipcore/core/sockets/zmtp"
)

// Read side. One goroutine per connection cuts messages out of a buffer and
// hands them to the handler as views of it. A frame that does not fit gets
// memory of its own and is read straight into it; when the buffer is full of
// small frames of one message, these are moved to a spill. Commands may stand
// between the frames of a message and are obeyed where they stand.

const (
	idleBuffer  = 1 << 10 // buffer of a new connection; most never need more
	smallBuffer = 4 << 10
	largeBuffer = 32 << 10
	// ownFrom is the size from which a frame that is not wholly in the buffer
	// gets memory of its own.
	separateFrom = largeBuffer / 2
	// firstClaim is the memory taken for a large frame before any of it has
	// come; afterwards it is at most claimGrowth times what has come.
	firstAllocation   = 1 << 20
	trustedAllocation = 256 << 20 // the same of a peer that is trusted
	allocationGrowth  = 16
	// readAhead is the number of messages after which they are flushed although
	// there may be more to read at once, which may be for the same peers.
	readAhead = 512
	// yieldBelow is the number of messages of one read up to which other
	// readers run before the flush: they may have something for the same peers.
	yieldBelow = 16
)

// place says where one frame of the message that is being read lies.
type frameRef struct {
	separate []byte // memory of its own, or nil
	off, n   int    // else within the buffer, or within the spill
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
	bytes     int64 // of the message so far
	views     [][]byte
	delivered int  // messages handed on since the last flush
	filled    bool // the last read took all that there was room for
	// trusted: see Conn.Trust.
	trusted bool
	opener  *curve.Opener
	traffic Traffic
}

// aheadReader is a reader that can tell that there is nothing to read now.
type nonblockingReader interface {
	// tryRead reads what there is now, possibly nothing.
	tryRead(b []byte) (int, error)
}

// fill reads once into the buffer, which must have room.
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

// flush writes what the handler has enqueued since the last read.
func (in *inbox) flush() {
	if in.delivered == 0 {
		if dirtyList.Load() != nil {
			FlushAll() // an answer to a command
		}
		return
	}
	few := in.delivered <= yieldBelow
	in.delivered = 0
	settle := in.c.s.o.AfterRead
	if settle == nil && dirtyList.Load() == nil {
		return
	}
	if few {
		runtime.Gosched()
	}
	if settle != nil {
		settle()
	}
	FlushAll()
}

// loop reads until the connection ends and answers why.
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

// check refuses a frame by its head, before anything is allocated for it.
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
		return zmtp.ProtocolError("command with a frame to follow")
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

// frame takes in one complete frame. A place without memory of its own is in
// the buffer and ends the parsed part of it.
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

// deliver hands the message to the handler and makes ready for the next.
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

// receive hands a message on.
func (c *Conn) receive(frames [][]byte) {
	switch {
	case c.discard.Load():
	case c.s.kind == Pub:
		c.subscribeMessage(frames)
	case c.s.o.Handler != nil:
		c.s.o.Handler(c, frames)
	}
}

// more reads until at least need bytes from pos on could be in the buffer;
// one read may bring fewer.
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

// makeRoom moves bytes so that need bytes fit from pos on.
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
	// The buffer is full of frames of one message.
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

// grow makes room for need bytes in all, or for as many as a buffer has.
func (in *inbox) grow(need int) {
	size := largeBuffer
	if need <= smallBuffer {
		size = smallBuffer
	}
	buf := make([]byte, size)
	copy(buf, in.buf[:in.end])
	in.buf = buf
}

// unzeroed answers n > 0 bytes of memory for a caller who writes them before
// anything reads them: the room of a strings.Builder, which is not cleared.
// Clearing 100 MiB takes nearly as long as reading them.
func unzeroed(n int) []byte {
	var b strings.Builder
	b.Grow(n)
	b.WriteByte(0)                                        // the address of an empty string is not specified
	return unsafe.Slice(unsafe.StringData(b.String()), n) //nolint:gosec // the string is dropped here; nobody else sees these bytes
}

// readOwn reads a frame of size bytes, whose body begins at off in the buffer,
// into memory of its own. From a peer that is not trusted it takes memory as bytes
// arrive: what such a one only claims costs next to nothing.
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
	// Nothing of the frame is in the buffer: give its space back when no
	// other frame of the message is there either.
	if len(in.frames) == 0 {
		in.start, in.pos, in.end = 0, 0, 0
	}
	return own, nil
}
