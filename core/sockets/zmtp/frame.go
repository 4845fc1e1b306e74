package zmtp

import (
	"encoding/binary"
	"strconv"
)

// A frame is one byte of flags, the length of the body in one byte, or in eight with
// FlagLong, and the body.
const (
	FlagMore    = 1 << 0 // another frame of the message follows
	FlagLong    = 1 << 1 // the length has eight bytes
	FlagCommand = 1 << 2 // a command, never together with FlagMore
	FlagsKnown  = FlagMore | FlagLong | FlagCommand

	shortHeader = 2
	LongHeader  = 9   // bytes of the longest header
	maxShort    = 255 // longest body with a short header

	// MaxCommand bounds the body of a command in bytes. A PING has at most 22; a
	// subscription is as long as its topic.
	MaxCommand = 4 << 10
)

// PutHeader writes the header of a frame whose body has n bytes into h, and returns
// the part of h that it fills.
func PutHeader(h *[LongHeader]byte, flags byte, n int) []byte {
	if n <= maxShort {
		h[0], h[1] = flags, byte(n)
		return h[:shortHeader]
	}
	h[0] = flags | FlagLong
	binary.BigEndian.PutUint64(h[1:], uint64(n))
	return h[:]
}

// ParseHeader reads the header at the beginning of b: the frame's flags, the bytes of
// its body and the bytes of the header itself, which are 0 if b is too short to hold it.
func ParseHeader(b []byte) (flags byte, body uint64, size int) {
	if len(b) < shortHeader {
		return 0, 0, 0
	}
	if b[0]&FlagLong == 0 {
		return b[0], uint64(b[1]), shortHeader
	}
	if len(b) < LongHeader {
		return 0, 0, 0
	}
	return b[0], binary.BigEndian.Uint64(b[1:]), LongHeader
}

// WireSize returns the number of bytes that frames take on the wire, at most.
func WireSize(frames [][]byte) int64 {
	n := int64(0)
	for _, f := range frames {
		n += int64(len(f)) + LongHeader
	}
	return n
}

// Printable returns bytes that a peer sent, such as its identity, in a form that is
// safe in a log: quoted, unless all of them are printable ASCII.
func Printable(b []byte) string {
	for _, c := range b {
		if c < ' ' || c > '~' {
			return strconv.Quote(string(b))
		}
	}
	return string(b)
}
