package sqlitedb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Lists of byte strings are stored as Python pickles. These are the opcodes that occur
// in such pickles.
const (
	opProto         = 0x80
	opFrame         = 0x95
	opEmptyList     = ']'
	opMark          = '('
	opMemoize       = 0x94
	opPut           = 'q'
	opLongPut       = 'r'
	opGet           = 'h'
	opLongGet       = 'j'
	opShortBytes    = 'C'
	opBytes         = 'B'
	opBytes8        = 0x8e
	opByteArray8    = 0x96
	opAppend        = 'a'
	opAppends       = 'e'
	opStop          = '.'
	pickleProtocol  = 5
	oldestReadable  = 3 // of Python 3.0
	pickledOverhead = 16
)

// appendPickle appends a list as a pickle of protocol 5.
func appendPickle(dst []byte, list [][]byte) []byte {
	dst = append(dst, opProto, pickleProtocol, opEmptyList)
	if len(list) > 0 {
		dst = append(dst, opMark)
		for _, b := range list {
			switch n := len(b); {
			case n <= math.MaxUint8:
				dst = append(dst, opShortBytes, byte(n))
			case n <= math.MaxUint32:
				dst = append(dst, opBytes)
				dst = binary.LittleEndian.AppendUint32(dst, uint32(n))
			default:
				dst = append(dst, opBytes8)
				dst = binary.LittleEndian.AppendUint64(dst, uint64(n))
			}
			dst = append(dst, b...)
		}
		dst = append(dst, opAppends)
	}
	return append(dst, opStop)
}

// pickledSize returns about the length of the pickle of a list.
func pickledSize(list [][]byte) int {
	n := pickledOverhead
	for _, b := range list {
		n += len(b) + pickledOverhead
	}
	return n
}

var errPickle = errors.New("not a pickled list of bytes")

// parsePickle reads a pickled list of byte strings, which share the memory of text.
// Any other pickle is an error; no code that a pickle names is run.
func parsePickle(text []byte) ([][]byte, error) {
	u := unpickler{rest: text}
	if op, err := u.take(2); err != nil || op[0] != opProto || op[1] < oldestReadable || op[1] > pickleProtocol {
		return nil, errPickle
	}
	for {
		op, err := u.take(1)
		if err != nil {
			return nil, err
		}
		if op[0] == opStop {
			if !u.started || u.marked || u.unappended || len(u.rest) > 0 {
				return nil, errPickle
			}
			return u.list, nil
		}
		if err := u.step(op[0]); err != nil {
			return nil, err
		}
	}
}

// unpickler is a pickle machine whose stack holds one list and, above it, byte strings.
type unpickler struct {
	rest       []byte
	list       [][]byte
	started    bool // the list was created
	marked     bool // after a mark: strings are collected for opAppends
	unappended bool // one string is on the stack for opAppend
	memo       map[uint64][]byte
	memoCount  uint64
}

func (u *unpickler) take(n uint64) ([]byte, error) {
	if n > uint64(len(u.rest)) {
		return nil, fmt.Errorf("%w: it is truncated", errPickle)
	}
	b := u.rest[:n:n]
	u.rest = u.rest[n:]
	return b, nil
}

func (u *unpickler) number(size uint64) (uint64, error) {
	b, err := u.take(size)
	if err != nil {
		return 0, err
	}
	var wide [8]byte
	copy(wide[:], b)
	return binary.LittleEndian.Uint64(wide[:]), nil
}

// operandSize is the size of the number that follows an opcode.
var operandSize = map[byte]uint64{
	opFrame: 8, opPut: 1, opLongPut: 4, opGet: 1, opLongGet: 4, opShortBytes: 1, opBytes: 4, opBytes8: 8, opByteArray8: 8,
}

func (u *unpickler) step(op byte) error {
	n, err := u.number(operandSize[op])
	if err != nil {
		return err
	}
	switch op {
	case opFrame:
	case opEmptyList:
		if u.started {
			return errPickle
		}
		u.started, u.list = true, [][]byte{}
	case opMemoize:
		u.memoize(u.memoCount)
	case opPut, opLongPut:
		u.memoize(n)
	case opGet, opLongGet:
		b, known := u.memo[n]
		if !known || b == nil {
			return errPickle
		}
		return u.push(b)
	case opShortBytes, opBytes, opBytes8, opByteArray8:
		b, err := u.take(n)
		if err != nil {
			return err
		}
		return u.push(b)
	case opMark:
		if !u.started || u.marked || u.unappended {
			return errPickle
		}
		u.marked = true
	case opAppend:
		if !u.unappended {
			return errPickle
		}
		u.unappended = false
	case opAppends:
		if !u.marked {
			return errPickle
		}
		u.marked = false
	default:
		return fmt.Errorf("%w: it contains opcode %#x", errPickle, op)
	}
	return nil
}

// push adds a byte string as the next element of the list.
func (u *unpickler) push(b []byte) error {
	if !u.started || u.unappended {
		return errPickle
	}
	u.unappended = !u.marked
	u.list = append(u.list, b)
	return nil
}

// memoize stores the topmost object in the memo: the last string, or the list, which
// is stored as nil because the list can't contain itself.
func (u *unpickler) memoize(place uint64) {
	if u.memo == nil {
		u.memo = make(map[uint64][]byte)
	}
	u.memoCount++
	if (u.marked || u.unappended) && len(u.list) > 0 {
		u.memo[place] = u.list[len(u.list)-1]
		return
	}
	u.memo[place] = nil
}
