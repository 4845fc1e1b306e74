package wire

import (
	"errors"
	"fmt"
)

// Delimiter is the frame that ends the identities of a message.
const Delimiter = "<IDS|MSG>"

// partsAfterDelimiter is signature, header, parent, metadata and content.
const partsAfterDelimiter = 5

// ErrMalformed means that frames are not a message: no delimiter, or fewer
// than five frames after it.
var ErrMalformed = errors.New("malformed message")

// Message is a multipart message split at the delimiter:
//
//	identity...  "<IDS|MSG>"  signature  header  parent  metadata  content  buffer...
//
// All fields are views of the frames it was parsed from. Header, Parent,
// Metadata and Content are the packed bytes exactly as sent, which is what a
// signature covers; nothing here re-serialises them.
type Message struct {
	Idents    [][]byte
	Signature []byte
	Header    []byte
	Parent    []byte
	Metadata  []byte
	Content   []byte
	Buffers   [][]byte
}

// Parse splits frames into a message without copying. It returns ErrMalformed for
// frames that are not a message.
func Parse(frames [][]byte) (Message, error) {
	for i, frame := range frames {
		if string(frame) != Delimiter {
			continue
		}
		rest := frames[i+1:]
		if len(rest) < partsAfterDelimiter {
			return Message{}, fmt.Errorf("%w: %d frames after the delimiter, need %d", ErrMalformed, len(rest), partsAfterDelimiter)
		}
		return Message{
			Idents:    frames[:i:i],
			Signature: rest[0],
			Header:    rest[1],
			Parent:    rest[2],
			Metadata:  rest[3],
			Content:   rest[4],
			Buffers:   rest[5:len(rest):len(rest)],
		}, nil
	}
	return Message{}, fmt.Errorf("%w: no delimiter in %d frames", ErrMalformed, len(frames))
}

var delimiterFrame = []byte(Delimiter)

// AppendFrames appends the frames of m to dst in wire order.
func (m *Message) AppendFrames(dst [][]byte) [][]byte {
	dst = append(dst, m.Idents...)
	dst = append(dst, delimiterFrame, m.Signature, m.Header, m.Parent, m.Metadata, m.Content)
	return append(dst, m.Buffers...)
}
