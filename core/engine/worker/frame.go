package worker

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
)

// Kinds of frames; the package comment has their parts.
const (
	kindSource  = 'S'
	kindHello   = 'H'
	kindApply   = 'A'
	kindExecute = 'E'
	kindClear   = 'C'
	kindJupyter = 'J'
	kindQuit    = 'Q'
	kindReply   = 'R'
	kindDisplay = 'D'
)

// Flags of an E frame.
const (
	flagSilent       = 1 << 0
	flagStoreHistory = 1 << 1
)

const (
	// smallFrame is the size up to which a frame is written at once: it fits into
	// the socket's buffer, which is empty while no request is in progress, so the
	// write does not block.
	smallFrame = 64 << 10

	// maxFrame limits the size of a frame in bytes. Its only purpose is to detect a
	// channel that user code wrote into.
	maxFrame = 1 << 40
)

// errNotFrame means that the bytes on the channel are not a frame.
var errNotFrame = errors.New("the worker's channel has data that is not a frame")

// frame is one message of the channel.
type frame struct {
	kind  byte
	flags byte
	parts [][]byte
}

// size returns the length of the frame on the channel in bytes.
func (f *frame) size() int {
	n := 4 + 8*len(f.parts)
	for _, p := range f.parts {
		n += len(p)
	}
	return n
}

// appendHead appends the head, which precedes the parts.
func (f *frame) appendHead(dst []byte) []byte {
	dst = append(dst, f.kind, f.flags)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(f.parts)))
	for _, p := range f.parts {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(len(p)))
	}
	return dst
}

// appendAll appends the whole frame.
func (f *frame) appendAll(dst []byte) []byte {
	dst = f.appendHead(dst)
	for _, p := range f.parts {
		dst = append(dst, p...)
	}
	return dst
}

// buffers returns the frame for one vectored write, without copying the parts.
func (f *frame) buffers() net.Buffers {
	b := make(net.Buffers, 0, 1+len(f.parts))
	b = append(b, f.appendHead(nil))
	for _, p := range f.parts {
		if len(p) > 0 {
			b = append(b, p)
		}
	}
	return b
}

// read reads one frame. Parts of a small frame share one allocation; each large part of
// a larger frame has its own, and is read without a copy.
func (f *frame) read(r *bufio.Reader) error {
	head, err := r.Peek(4)
	if err != nil {
		if len(head) > 0 && errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF
		}
		return err
	}
	f.kind, f.flags = head[0], head[1]
	n := int(binary.LittleEndian.Uint16(head[2:]))
	switch f.kind {
	case kindHello, kindReply, kindDisplay:
	default:
		return fmt.Errorf("%w (kind %#02x)", errNotFrame, f.kind)
	}
	if _, err := r.Discard(4); err != nil {
		return err
	}
	lengths := make([]byte, 8*n)
	if _, err := io.ReadFull(r, lengths); err != nil {
		return cut(err)
	}
	var total, small uint64
	for i := range n {
		l := binary.LittleEndian.Uint64(lengths[8*i:])
		if l > maxFrame || total+l > maxFrame {
			return fmt.Errorf("%w (a part of %d bytes)", errNotFrame, l)
		}
		total += l
		if l < smallFrame {
			small += l
		}
	}
	f.parts = make([][]byte, n)
	shared := make([]byte, small)
	for i := range f.parts {
		l := binary.LittleEndian.Uint64(lengths[8*i:])
		var part []byte
		if l < smallFrame {
			part, shared = shared[:l:l], shared[l:]
			_, err = io.ReadFull(r, part)
		} else {
			part, err = readLarge(r, l)
		}
		if err != nil {
			return cut(err)
		}
		f.parts[i] = part
	}
	return nil
}

// readLarge reads a part into its own memory. Memory beyond the first 256 MiB is
// allocated as the bytes arrive, so that a wrong length leads to a truncated frame and
// not to an allocation of that size.
func readLarge(r *bufio.Reader, n uint64) ([]byte, error) {
	const trusted = 256 << 20
	part := make([]byte, min(n, trusted))
	read := 0
	for {
		k, err := io.ReadFull(r, part[read:])
		read += k
		if err != nil || uint64(read) == n {
			return part, err
		}
		grown := make([]byte, min(n, 4*uint64(len(part))))
		copy(grown, part)
		part = grown
	}
}

// cut turns an end of the stream inside a frame into io.ErrUnexpectedEOF.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
