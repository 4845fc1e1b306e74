package wire

import "errors"

// Delimiter is the frame that ends the identities of a message.
const Delimiter = "<IDS|MSG>"

// ErrMalformed reports frames that are not a message: no delimiter, or fewer
// than five frames after it.
var ErrMalformed = errors.New("malformed message")

// Message is a multipart message cut at the delimiter:
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

// Parse cuts frames into a message. It answers ErrMalformed for anything that
// is not one, and copies nothing.
func Parse(frames [][]byte) (Message, error) { panic("not written yet") }

// AppendFrames appends the frames of m to dst in wire order.
func (m *Message) AppendFrames(dst [][]byte) [][]byte { panic("not written yet") }
