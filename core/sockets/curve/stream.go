package sockets

import (
	"crypto/subtle"
	"encoding/binary"

	// The two parts of NaCl's boxes. They are marked as deprecated because they
	// are easily misused; what is built of them here is compared with secretbox.
	"golang.org/x/crypto/poly1305"      //nolint:staticcheck // see above
	"golang.org/x/crypto/salsa20/salsa" //nolint:staticcheck // see above
)

// After the handshake every frame, commands too, is the body of a ZMTP frame
// of its own without flags:
//
//	7 "MESSAGE" | counter (8) | tag (16) | flags (1) and body, encrypted
//
// Tag and what follows are NaCl's secretbox. It is made here from its two
// parts, so that it can be sealed from where the body lies into the outgoing
// segment and opened in place, and because all nonces of one direction share
// their first 16 bytes: what secretbox derives from these is derived once.
const (
	curveMessage  = "\x07MESSAGE"
	curveTagAt    = len(curveMessage) + curveCounter
	curveFlagsAt  = curveTagAt + poly1305.TagSize
	curveOverhead = curveFlagsAt + 1 // bytes before a frame's body

	sealedMore    = 1 << 0
	sealedCommand = 1 << 1

	// cryptStep is how much of a body is encrypted and authenticated in one
	// go: it stays in the processor's cache between the two.
	cryptStep = 16 << 10
)

// stream is one direction of an encrypted connection.
type stream struct {
	key     [32]byte // of Salsa20: what XSalsa20 derives from key and prefix
	counter uint64   // the last that was used
}

// newStream answers the stream of nonces that begin with prefix, which has 16
// bytes.
func newStream(prefix string, shared *[32]byte, counter uint64) stream {
	s := stream{counter: counter}
	s.key = derive(*shared, [16]byte([]byte(prefix)))
	return s
}

// derive answers the key that NaCl derives from a key and 16 bytes of input.
func derive(key [32]byte, input [16]byte) (derived [32]byte) {
	salsa.HSalsa20(&derived, &input, &key, &salsa.Sigma)
	return derived
}

// first answers Salsa20's counter for a frame and the first block of its key
// stream: 32 bytes that authenticate it and 32 that encrypt its beginning.
func (s *stream) first(counter uint64) (nonce [16]byte, block [64]byte) {
	binary.BigEndian.PutUint64(nonce[:], counter)
	salsa.XORKeyStream(block[:], block[:], &nonce, &s.key)
	nonce[8] = 1
	return nonce, block
}

// sealer seals what is sent. Frames take their counters in the order in which
// they are queued, but may be sealed later.
type sealer struct{ stream }

func newSealer(prefix string, shared *[32]byte, counter uint64) *sealer {
	return &sealer{newStream(prefix, shared, counter)}
}

// next answers the counter of the next frame.
func (s *sealer) next() uint64 {
	s.counter++
	return s.counter
}

// seal writes a sealed frame, without the head of its ZMTP frame, to out, which
// has len(body)+curveOverhead bytes. It may run while others take counters.
func (s *sealer) seal(out []byte, counter uint64, flags byte, body []byte) {
	copy(out, curveMessage)
	binary.BigEndian.PutUint64(out[len(curveMessage):], counter)
	nonce, block := s.first(counter)
	tag, text := (*[poly1305.TagSize]byte)(out[curveTagAt:]), out[curveFlagsAt:]
	text[0] = flags ^ block[32]
	begin := min(len(body), 31)
	subtle.XORBytes(text[1:], body[:begin], block[33:])
	key := (*[32]byte)(block[:])
	if len(body) <= cryptStep {
		salsa.XORKeyStream(text[1+begin:], body[begin:], &nonce, &s.key)
		poly1305.Sum(tag, text, key)
		return
	}
	mac := poly1305.New(key)
	_, _ = mac.Write(text[:1+begin])
	for at := begin; at < len(body); at += cryptStep {
		end := min(at+cryptStep, len(body))
		salsa.XORKeyStream(text[1+at:1+end], body[at:end], &nonce, &s.key)
		_, _ = mac.Write(text[1+at : 1+end])
		advance(&nonce)
	}
	mac.Sum(tag[:0])
}

// advance moves Salsa20's counter over a step.
func advance(nonce *[16]byte) {
	binary.LittleEndian.PutUint64(nonce[8:], binary.LittleEndian.Uint64(nonce[8:])+cryptStep/64)
}

// opener opens what comes.
type opener struct{ stream }

func newOpener(prefix string, shared *[32]byte, counter uint64) *opener {
	return &opener{newStream(prefix, shared, counter)}
}

// Violations of CURVE.
const (
	errNotSealed   = violation("CURVE: frame that is not sealed")
	errReplayed    = violation("CURVE: replayed or reordered frame")
	errForged      = violation("CURVE: sealed frame that does not open")
	errSealedFlags = violation("CURVE: sealed frame with impossible flags")
)

// open opens a sealed frame where it lies. Its body is frame[curveOverhead:]
// afterwards; on an error it means nothing.
func (o *opener) open(frame []byte) (flags byte, err error) {
	if len(frame) < curveOverhead || string(frame[:len(curveMessage)]) != curveMessage {
		return 0, errNotSealed
	}
	counter := binary.BigEndian.Uint64(frame[len(curveMessage):])
	if counter <= o.counter {
		return 0, errReplayed
	}
	nonce, block := o.first(counter)
	tag, text := (*[poly1305.TagSize]byte)(frame[curveTagAt:]), frame[curveFlagsAt:]
	key := (*[32]byte)(block[:])
	begin := min(len(text), 32)
	if len(text) <= cryptStep {
		if !poly1305.Verify(tag, text, key) {
			return 0, errForged
		}
		salsa.XORKeyStream(text[begin:], text[begin:], &nonce, &o.key)
	} else {
		mac := poly1305.New(key)
		_, _ = mac.Write(text[:begin])
		for at := begin; at < len(text); at += cryptStep {
			part := text[at:min(at+cryptStep, len(text))]
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
		return flagMore, nil
	case sealedCommand:
		return flagCommand, nil
	}
	return 0, errSealedFlags
}

// flagsInside answers what stands in the box for the flags of a ZMTP frame.
func flagsInside(flags byte) byte {
	inside := flags & flagMore
	if flags&flagCommand != 0 {
		inside |= sealedCommand
	}
	return inside
}
