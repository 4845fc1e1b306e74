package sockets

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// Curve encrypts a socket: all its peers are spoken to over CURVE, and others
// are refused. Each peer must know the server's public key, and that is all a
// server asks of it; the key pairs of clients only keep their traffic apart.
type Curve struct {
	// Server says which of the two roles this socket has in CURVE. It does not
	// matter who listens and who dials.
	Server bool
	// SecretKey is this side's own; zero generates one, on a client.
	SecretKey Key
	// ServerKey is, on a client, the public key of the server.
	ServerKey Key
}

// Key is a CURVE key, secret or public.
type Key [32]byte

// z85 are the digits of Z85, in which keys are written.
const z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"

// z85Len is the length of a key in Z85.
const z85Len = 40

// NewKey answers a random secret key.
func NewKey() Key {
	var k Key
	_, _ = rand.Read(k[:]) // never fails; the program ends when there is no randomness
	return k
}

// ParseKey reads a key in Z85: 40 characters. Its errors do not show the key.
func ParseKey(text string) (Key, error) {
	var k Key
	if len(text) != z85Len {
		return k, fmt.Errorf("a CURVE key has %d characters, this one %d", z85Len, len(text))
	}
	for i := 0; i < z85Len; i += 5 {
		v := uint64(0)
		for _, digit := range []byte(text[i : i+5]) {
			n := strings.IndexByte(z85, digit)
			if n < 0 {
				return Key{}, errors.New("a CURVE key has characters of Z85 only")
			}
			v = v*85 + uint64(n)
		}
		if v > 1<<32-1 {
			return Key{}, errors.New("not a CURVE key: five of its characters are more than 32 bits")
		}
		binary.BigEndian.PutUint32(k[i/5*4:], uint32(v))
	}
	return k, nil
}

// Z85 answers the key as text, the form of connection files and environment.
func (k Key) Z85() string {
	var text [z85Len]byte
	for i := range len(k) / 4 {
		v := binary.BigEndian.Uint32(k[4*i:])
		for j := 4; j >= 0; j-- {
			text[5*i+j] = z85[v%85]
			v /= 85
		}
	}
	return string(text[:])
}

// Public answers the public key of a secret one.
func (k Key) Public() Key { return newPair(k).public }

// zero reports whether no key was given.
func (k Key) zero() bool { return k == Key{} }

// pair is a secret key ready to be multiplied with, and its public key.
type pair struct {
	secret *ecdh.PrivateKey
	public Key
}

func newPair(secret Key) pair {
	k, err := ecdh.X25519().NewPrivateKey(secret[:])
	if err != nil {
		panic(err) // it only looks at the length
	}
	return pair{k, Key(k.PublicKey().Bytes())}
}

// errWeakKey reports a public key with which every secret gives the same
// result: a box made with it proves nothing.
var errWeakKey = errors.New("CURVE: a key of the peer is of low order")

// share answers the key of the boxes between p's owner and the owner of other.
func (p pair) share(other Key) (*[32]byte, error) {
	public, err := ecdh.X25519().NewPublicKey(other[:])
	if err != nil {
		return nil, err
	}
	point, err := p.secret.ECDH(public)
	if err != nil {
		return nil, errWeakKey
	}
	key := derive([32]byte(point), [16]byte{})
	return &key, nil
}

// curveKeys are a Curve made ready.
type curveKeys struct {
	server    bool
	own       pair
	serverKey Key
}

// keys makes c ready. It panics when c can't work: that is a mistake of the
// program, for keys that come from outside have been through ParseKey.
func (c *Curve) keys() *curveKeys {
	secret := c.SecretKey
	switch {
	case c.Server && secret.zero():
		panic("sockets: a CURVE server without its secret key")
	case !c.Server && c.ServerKey.zero():
		panic("sockets: a CURVE client without the server's key")
	case secret.zero():
		secret = NewKey()
	}
	return &curveKeys{server: c.Server, own: newPair(secret), serverKey: c.ServerKey}
}

// CurveClient answers what makes a socket a client of the server with this key,
// in Z85 as connection files have it; nil, no encryption, for an empty one.
func CurveClient(serverKey string) (*Curve, error) {
	if serverKey == "" {
		return nil, nil
	}
	key, err := ParseKey(serverKey)
	if err != nil {
		return nil, fmt.Errorf("the controller's CURVE key: %w", err)
	}
	return &Curve{ServerKey: key}, nil
}
