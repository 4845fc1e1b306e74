package sockets

import (
	"encoding/binary"
	"strconv"
)

// A ZMTP frame is one byte of flags, the length of the body in one byte, or
// in eight with flagLong, and the body.
const (
	flagMore    = 1 << 0 // another frame of the message follows
	flagLong    = 1 << 1 // the length has eight bytes
	flagCommand = 1 << 2 // a command, never with flagMore
	flagsKnown  = flagMore | flagLong | flagCommand

	shortHeader = 2
	longHeader  = 9
	maxShort    = 255 // longest body with a short header
)

// header answers the head of a frame whose body has n bytes, in h.
func header(h *[longHeader]byte, flags byte, n int) []byte {
	if n <= maxShort {
		h[0], h[1] = flags, byte(n)
		return h[:shortHeader]
	}
	h[0] = flags | flagLong
	binary.BigEndian.PutUint64(h[1:], uint64(n))
	return h[:]
}

// parseHeader reads the head of a frame; size is 0 while b is too short.
func parseHeader(b []byte) (flags byte, body uint64, size int) {
	if len(b) < shortHeader {
		return 0, 0, 0
	}
	if b[0]&flagLong == 0 {
		return b[0], uint64(b[1]), shortHeader
	}
	if len(b) < longHeader {
		return 0, 0, 0
	}
	return b[0], binary.BigEndian.Uint64(b[1:]), longHeader
}

// wireSize is the number of bytes that frames have on the wire, at most.
func wireSize(frames [][]byte) int64 {
	n := int64(0)
	for _, f := range frames {
		n += int64(len(f)) + longHeader
	}
	return n
}

// printable answers an identity for the log.
func printable(id []byte) string {
	for _, b := range id {
		if b < ' ' || b > '~' {
			return strconv.Quote(string(id))
		}
	}
	return string(id)
}
