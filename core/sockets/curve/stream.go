package curve

import (
	"crypto/subtle"
	"encoding/binary"

	// The two parts of NaCl's boxes. They are marked as deprecated because they
	// are easily misused; tests compare what is built from them here with secretbox.
	"golang.org/x/crypto/poly1305"      //nolint:staticcheck // see above
	"golang.org/x/crypto/salsa20/salsa" //nolint:staticcheck // see above

	"github.com/ipcore/ipcore/core/sockets/zmtp"
)

// After the handshake every frame, commands too, is sent as the body of another ZMTP
// frame, which has no flags:
//
//	7 "MESSAGE" | counter (8) | tag (16) | flags (1) and body, encrypted
//
// The tag and what follows are NaCl's secretbox. It is put together here from its two
// parts for two reasons. A body can be sealed from where it lies into the outgoing
// segment, and opened in place. And all nonces of one direction share their first 16
// bytes, so the key that secretbox derives from these is derived only once.
const (
	messageName = "\x07MESSAGE"
	tagAt       = len(messageName) + counterSize
	flagsAt     = tagAt + poly1305.TagSize

	// Overhead is the number of bytes of a sealed frame before the body.
	Overhead = flagsAt + 1

	sealedMore    = 1 << 0
	sealedCommand = 1 << 1

	// stepSize is how many bytes of a body are encrypted and authenticated in one
	// step: between the two they stay in the processor's cache.
	stepSize = 16 << 10
)

// stream is one direction of an encrypted connection.
type stream struct {
	key     [32]byte // of Salsa20: what XSalsa20 derives from key and prefix
	counter uint64   // the last that was used
}

// newStream returns the stream whose nonces begin with prefix, which has 16 bytes.
func newStream(prefix string, shared *[32]byte, counter uint64) stream {
	s := stream{counter: counter}
	s.key = derive(*shared, [16]byte([]byte(prefix)))
	return s
}

// derive returns the key that NaCl derives from a key and 16 bytes of input.
func derive(key [32]byte, input [16]byte) (derived [32]byte) {
	salsa.HSalsa20(&derived, &input, &key, &salsa.Sigma)
	return derived
}

// firstBlock returns Salsa20's counter for the rest of a frame and the first block of
// the frame's key stream: 32 bytes that authenticate the frame and 32 that encrypt its
// beginning.
func (s *stream) firstBlock(counter uint64) (nonce [16]byte, block [64]byte) {
	binary.BigEndian.PutUint64(nonce[:], counter)
	salsa.XORKeyStream(block[:], block[:], &nonce, &s.key)
	nonce[8] = 1
	return nonce, block
}

// Sealer seals the frames that are sent. Frames take their counters in the order in
// which they are queued, but may be sealed later.
type Sealer struct{ stream }

func newSealer(prefix string, shared *[32]byte, counter uint64) *Sealer {
	return &Sealer{newStream(prefix, shared, counter)}
}

// Next returns the counter of the next frame, which is never 0.
func (s *Sealer) Next() uint64 {
	s.counter++
	return s.counter
}

// Seal writes a sealed frame, without the header of the ZMTP frame around it, to out,
// which has len(body)+Overhead bytes. flags are ZMTP's. Seal may run while others call
// Next.
func (s *Sealer) Seal(out []byte, counter uint64, flags byte, body []byte) {
	s.seal(out, counter, sealedFlags(flags), body)
}

func (s *Sealer) seal(out []byte, counter uint64, flags byte, body []byte) {
	copy(out, messageName)
	binary.BigEndian.PutUint64(out[len(messageName):], counter)
	nonce, block := s.firstBlock(counter)
	tag, text := (*[poly1305.TagSize]byte)(out[tagAt:]), out[flagsAt:]
	text[0] = flags ^ block[32]
	begin := min(len(body), 31)
	subtle.XORBytes(text[1:], body[:begin], block[33:])
	key := (*[32]byte)(block[:])
	if len(body) <= stepSize {
		salsa.XORKeyStream(text[1+begin:], body[begin:], &nonce, &s.key)
		poly1305.Sum(tag, text, key)
		return
	}
	mac := poly1305.New(key)
	_, _ = mac.Write(text[:1+begin])
	for at := begin; at < len(body); at += stepSize {
		end := min(at+stepSize, len(body))
		salsa.XORKeyStream(text[1+at:1+end], body[at:end], &nonce, &s.key)
		_, _ = mac.Write(text[1+at : 1+end])
		advance(&nonce)
	}
	mac.Sum(tag[:0])
}

// advance moves Salsa20's counter past one step.
func advance(nonce *[16]byte) {
	binary.LittleEndian.PutUint64(nonce[8:], binary.LittleEndian.Uint64(nonce[8:])+stepSize/64)
}

// Opener opens the frames that are received.
type Opener struct{ stream }

func newOpener(prefix string, shared *[32]byte, counter uint64) *Opener {
	return &Opener{newStream(prefix, shared, counter)}
}

// How a peer can break the protocol after the handshake.
const (
	ErrNotSealed   = zmtp.ProtocolError("CURVE: received a frame that is not sealed")
	errReplayed    = zmtp.ProtocolError("CURVE: received a replayed or reordered frame")
	errForged      = zmtp.ProtocolError("CURVE: received a sealed frame that does not open")
	errSealedFlags = zmtp.ProtocolError("CURVE: received a sealed frame with impossible flags")
)

// Open opens a sealed frame in place and returns its flags, as ZMTP has them. The body
// is then frame[Overhead:]. After an error, which is a ProtocolError, the content of
// frame must not be used.
func (o *Opener) Open(frame []byte) (flags byte, err error) {
	if len(frame) < Overhead || string(frame[:len(messageName)]) != messageName {
		return 0, ErrNotSealed
	}
	counter := binary.BigEndian.Uint64(frame[len(messageName):])
	if counter <= o.counter {
		return 0, errReplayed
	}
	nonce, block := o.firstBlock(counter)
	tag, text := (*[poly1305.TagSize]byte)(frame[tagAt:]), frame[flagsAt:]
	key := (*[32]byte)(block[:])
	begin := min(len(text), 32)
	if len(text) <= stepSize {
		if !poly1305.Verify(tag, text, key) {
			return 0, errForged
		}
		salsa.XORKeyStream(text[begin:], text[begin:], &nonce, &o.key)
	} else {
		mac := poly1305.New(key)
		_, _ = mac.Write(text[:begin])
		for at := begin; at < len(text); at += stepSize {
			part := text[at:min(at+stepSize, len(text))]
			_, _ = mac.Write(part)
			salsa.XORKeyStream(part, part, &nonce, &o.key)
			advance(&nonce)
		}
		if !mac.Verify(tag[:]) {
			return 0, errForged
		}
	}
	subtle.XORBytes(text, text[:begin], block[32:])
	o.counter = counter
	switch text[0] {
	case 0:
		return 0, nil
	case sealedMore:
		return zmtp.FlagMore, nil
	case sealedCommand:
		return zmtp.FlagCommand, nil
	}
	return 0, errSealedFlags
}

// sealedFlags returns the flags within a sealed frame that stand for flags of ZMTP.
func sealedFlags(flags byte) byte {
	sealed := flags & zmtp.FlagMore
	if flags&zmtp.FlagCommand != 0 {
		sealed |= sealedCommand
	}
	return sealed
}
