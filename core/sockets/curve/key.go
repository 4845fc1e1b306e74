package curve

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// Key is a CURVE key, secret or public.
type Key [32]byte

// z85 has the digits of Z85, in which keys are written.
const z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"

// z85Len is the length of a key in Z85.
const z85Len = 40

// NewKey returns a random secret key.
func NewKey() Key {
	var k Key
	_, _ = rand.Read(k[:]) // never fails; the program ends when there is no randomness
	return k
}

// ParseKey reads a key in Z85: 40 characters. Its errors do not show the key.
func ParseKey(text string) (Key, error) {
	var k Key
	if len(text) != z85Len {
		return k, fmt.Errorf("a CURVE key has %d characters, this one has %d", z85Len, len(text))
	}
	for i := 0; i < z85Len; i += 5 {
		v := uint64(0)
		for _, digit := range []byte(text[i : i+5]) {
			n := strings.IndexByte(z85, digit)
			if n < 0 {
				return Key{}, errors.New("a CURVE key must consist of characters of Z85 only")
			}
			v = v*85 + uint64(n)
		}
		if v > 1<<32-1 {
			return Key{}, errors.New("not a CURVE key: five of its characters stand for more than 32 bits")
		}
		binary.BigEndian.PutUint32(k[i/5*4:], uint32(v))
	}
	return k, nil
}

// Z85 returns the key as text, as connection files and the environment have it.
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

// Public returns the public key that belongs to a secret key.
func (k Key) Public() Key { return newPair(k).public }

// isZero reports whether no key was given.
func (k Key) isZero() bool { return k == Key{} }

// pair is a secret key in the form that the arithmetic needs, and its public key.
type pair struct {
	secret *ecdh.PrivateKey
	public Key
}

func newPair(secret Key) pair {
	k, err := ecdh.X25519().NewPrivateKey(secret[:])
	if err != nil {
		panic(err) // only the length is checked
	}
	return pair{k, Key(k.PublicKey().Bytes())}
}

// errWeakKey reports a public key with which every secret key gives the same shared
// key: a box made with it proves nothing.
var errWeakKey = errors.New("CURVE: a key of the peer is of low order")

// shared returns the key of the boxes between p's owner and the owner of other.
func (p pair) shared(other Key) (*[32]byte, error) {
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
