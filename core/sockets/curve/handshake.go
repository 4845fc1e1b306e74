package curve

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"slices"

	"golang.org/x/crypto/nacl/secretbox"

	"github.com/ipcore/ipcore/core/sockets/zmtp"
)

// The four commands of a CURVE handshake, after their names:
//
//	HELLO     version 1.0, 72 zeros, C', counter, box of 64 zeros (C' to S)
//	WELCOME   16 random bytes, box of S' and cookie (S to C')
//	INITIATE  cookie, counter, box of C, 16 random bytes, vouch, metadata (C' to S')
//	READY     counter, box of metadata (S' to C')
//
// S and C are the keys of server and client, S' and C' those of this one
// connection. The vouch is a box of C' and S from C to S'. A cookie would let a
// server forget a handshake until the INITIATE. Ours keeps the handshake in the
// connection, so its cookie is random, contains nothing, and must come back unchanged.
const (
	boxOverhead   = secretbox.Overhead // a box is this much longer than its content
	counterSize   = 8
	cookieSize    = 96
	helloSize     = 2 + 72 + 32 + counterSize + 64 + boxOverhead
	welcomeSize   = 16 + 32 + cookieSize + boxOverhead
	vouchSize     = 32 + 32 + boxOverhead
	minInitiate   = cookieSize + counterSize + boxOverhead + 32 + 16 + vouchSize
	minReady      = counterSize + boxOverhead
	helloKeyAt    = 2 + 72
	helloCountAt  = helloKeyAt + 32
	helloBoxAt    = helloCountAt + counterSize
	maxInsideSize = zmtp.MaxCommand - 512 // of the box of an INITIATE, so that the command stays short enough
)

// The reasons why handshakes fail.
var (
	errHello     = errors.New("CURVE: the peer does not know this server's key, or sent a malformed HELLO")
	errWelcome   = errors.New("CURVE: WELCOME does not open: the server's key is not the expected one")
	errCookie    = errors.New("CURVE: INITIATE with a wrong cookie")
	errInitiate  = errors.New("CURVE: INITIATE does not open")
	errVouch     = errors.New("CURVE: INITIATE with a wrong vouch")
	errReadyBox  = errors.New("CURVE: READY does not open")
	errRepeated  = errors.New("CURVE: a counter did not increase")
	errMetadata  = errors.New("CURVE: the metadata is too long")
	errServerKey = errors.New("the peer closed the connection during the CURVE handshake: check that its server key is still the one known here")
)

// longNonce returns a nonce that consists of one of the prefixes and of what makes it
// unique.
func longNonce(prefix string, rest []byte) *[24]byte {
	var n [24]byte
	copy(n[copy(n[:], prefix):], rest)
	return &n
}

// counterNonce returns a nonce that consists of a prefix and a counter.
func counterNonce(prefix string, counter uint64) *[24]byte {
	return longNonce(prefix, binary.BigEndian.AppendUint64(nil, counter))
}

// random returns n random bytes.
func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails; the program ends when there is no randomness
	return b
}

// handshake is the state that both roles of a handshake have.
type handshake struct {
	keys     *Keys
	short    pair   // C' or S', of this connection alone
	sent     uint64 // the last counter that was sent
	received uint64 // the last counter that was received
	shared   *[32]byte
}

// acceptCounter reads the counter of a received command, which must be larger than the
// one before.
func (h *handshake) acceptCounter(b []byte) (uint64, error) {
	n := binary.BigEndian.Uint64(b)
	if n <= h.received {
		return 0, errRepeated
	}
	h.received = n
	return n, nil
}

// serverHandshake is the server's side of one handshake. Its methods are called in
// the order in which they stand here; an error ends the handshake.
type serverHandshake struct {
	handshake
	peer   Key // C'
	cookie []byte
}

// hello reads a HELLO and returns the WELCOME.
func (h *serverHandshake) hello(b []byte) ([]byte, error) {
	if len(b) != helloSize || b[0] != 1 || b[1] != 0 {
		return nil, errHello
	}
	h.peer = Key(b[helloKeyAt:helloCountAt])
	counter, err := h.acceptCounter(b[helloCountAt:])
	if err != nil {
		return nil, err
	}
	shared, err := h.keys.own.shared(h.peer)
	if err != nil {
		return nil, err
	}
	zeros, ok := secretbox.Open(nil, b[helloBoxAt:], counterNonce("CurveZMQHELLO---", counter), shared)
	if !ok || subtle.ConstantTimeCompare(zeros, make([]byte, 64)) != 1 {
		return nil, errHello
	}
	h.short, h.cookie = newPair(NewKey()), random(cookieSize)
	welcome := random(16)
	return secretbox.Seal(welcome, slices.Concat(h.short.public[:], h.cookie), longNonce("WELCOME-", welcome), shared), nil
}

// initiate reads an INITIATE and returns the client's metadata.
func (h *serverHandshake) initiate(b []byte) (metadata []byte, err error) {
	if len(b) < minInitiate {
		return nil, errInitiate
	}
	if subtle.ConstantTimeCompare(b[:cookieSize], h.cookie) != 1 {
		return nil, errCookie
	}
	counter, err := h.acceptCounter(b[cookieSize:])
	if err != nil {
		return nil, err
	}
	if h.shared, err = h.short.shared(h.peer); err != nil {
		return nil, err
	}
	inside, ok := secretbox.Open(nil, b[cookieSize+counterSize:], counterNonce("CurveZMQINITIATE", counter), h.shared)
	if !ok {
		return nil, errInitiate
	}
	client := Key(inside)
	vouch := inside[32+16 : 32+16+vouchSize]
	shared, err := h.short.shared(client)
	if err != nil {
		return nil, err
	}
	vouched, ok := secretbox.Open(nil, vouch, longNonce("VOUCH---", inside[32:32+16]), shared)
	if !ok || subtle.ConstantTimeCompare(vouched, slices.Concat(h.peer[:], h.keys.own.public[:])) != 1 {
		return nil, errVouch
	}
	return inside[32+16+vouchSize:], nil
}

// ready returns the READY with our metadata.
func (h *serverHandshake) ready(metadata []byte) []byte {
	h.sent++
	b := binary.BigEndian.AppendUint64(nil, h.sent)
	return secretbox.Seal(b, metadata, counterNonce("CurveZMQREADY---", h.sent), h.shared)
}

// streams returns the two directions of the connection after the handshake.
func (h *serverHandshake) streams() (*Sealer, *Opener) {
	return newSealer("CurveZMQMESSAGES", h.shared, h.sent), newOpener("CurveZMQMESSAGEC", h.shared, h.received)
}

// clientHandshake is the client's side of one handshake.
type clientHandshake struct{ handshake }

// hello returns the HELLO.
func (h *clientHandshake) hello() ([]byte, error) {
	h.short = newPair(NewKey())
	shared, err := h.short.shared(h.keys.serverKey)
	if err != nil {
		return nil, err
	}
	h.sent++
	b := make([]byte, helloKeyAt, helloSize)
	b[0] = 1
	b = binary.BigEndian.AppendUint64(append(b, h.short.public[:]...), h.sent)
	h.shared = shared // until WELCOME
	return secretbox.Seal(b, make([]byte, 64), counterNonce("CurveZMQHELLO---", h.sent), shared), nil
}

// welcome reads a WELCOME and returns the INITIATE with our metadata.
func (h *clientHandshake) welcome(b, metadata []byte) ([]byte, error) {
	if len(b) != welcomeSize {
		return nil, errWelcome
	}
	inside, ok := secretbox.Open(nil, b[16:], longNonce("WELCOME-", b[:16]), h.shared)
	if !ok {
		return nil, errWelcome
	}
	server, cookie := Key(inside), inside[32:]
	vouchKey, err := h.keys.own.shared(server)
	if err != nil {
		return nil, err
	}
	if h.shared, err = h.short.shared(server); err != nil {
		return nil, err
	}
	unique := random(16)
	inside = slices.Concat(h.keys.own.public[:], unique)
	inside = secretbox.Seal(inside, slices.Concat(h.short.public[:], h.keys.serverKey[:]), longNonce("VOUCH---", unique), vouchKey)
	inside = append(inside, metadata...)
	if len(inside) > maxInsideSize {
		return nil, errMetadata
	}
	h.sent++
	initiate := binary.BigEndian.AppendUint64(cookie[:cookieSize:cookieSize], h.sent)
	return secretbox.Seal(initiate, inside, counterNonce("CurveZMQINITIATE", h.sent), h.shared), nil
}

// ready reads a READY and returns the server's metadata.
func (h *clientHandshake) ready(b []byte) ([]byte, error) {
	if len(b) < minReady {
		return nil, errReadyBox
	}
	counter, err := h.acceptCounter(b)
	if err != nil {
		return nil, err
	}
	metadata, ok := secretbox.Open(nil, b[counterSize:], counterNonce("CurveZMQREADY---", counter), h.shared)
	if !ok {
		return nil, errReadyBox
	}
	return metadata, nil
}

// streams returns the two directions of the connection after the handshake.
func (h *clientHandshake) streams() (*Sealer, *Opener) {
	return newSealer("CurveZMQMESSAGEC", h.shared, h.sent), newOpener("CurveZMQMESSAGES", h.shared, h.received)
}
