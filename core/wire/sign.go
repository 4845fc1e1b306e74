package wire

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"
	"sync"

	"golang.org/x/crypto/blake2b"
	"golang.org/x/crypto/blake2s"
)

// Errors of verification.
var (
	ErrUnsigned     = errors.New("message is not signed")
	ErrBadSignature = errors.New("invalid signature")
	ErrReplay       = errors.New("duplicate signature")
)

// hashes are the algorithms that hashlib guarantees in every Python, except shake,
// which has no fixed digest length.
var hashes = map[string]func() hash.Hash{
	"md5":        md5.New,
	"sha1":       sha1.New,
	"sha224":     sha256.New224,
	"sha256":     sha256.New,
	"sha384":     sha512.New384,
	"sha512":     sha512.New,
	"sha512_224": sha512.New512_224,
	"sha512_256": sha512.New512_256,
	"sha3_224":   func() hash.Hash { return sha3.New224() },
	"sha3_256":   func() hash.Hash { return sha3.New256() },
	"sha3_384":   func() hash.Hash { return sha3.New384() },
	"sha3_512":   func() hash.Hash { return sha3.New512() },
	"blake2b":    unkeyed(blake2b.New512),
	"blake2s":    unkeyed(blake2s.New256),
}

// unkeyed wraps the constructor of a hash with an optional key of its own, without the key.
func unkeyed(newHash func(key []byte) (hash.Hash, error)) func() hash.Hash {
	return func() hash.Hash {
		h, err := newHash(nil)
		if err != nil {
			panic(err) // only a key that is too long is an error
		}
		return h
	}
}

// Signer signs and verifies the four packed parts of a message with HMAC
// (hashlib's guaranteed algorithms except shake). A Signer is safe for concurrent use.
// With an empty key, Sign returns an empty signature and Verify accepts everything.
type Signer struct {
	scheme string
	states *sync.Pool // of *signState; nil when the key is empty
}

// signState is one keyed hash with buffers for its results.
type signState struct {
	mac hash.Hash
	sum []byte
	hex []byte
}

// NewSigner returns a signer for a connection file's signature_scheme
// ("hmac-sha256") and key (used as text, not decoded).
func NewSigner(scheme, key string) (*Signer, error) {
	name, ok := strings.CutPrefix(scheme, "hmac-")
	if !ok {
		return nil, fmt.Errorf("signature scheme %q: must be hmac-<hash>, such as hmac-sha256", scheme)
	}
	newHash, ok := hashes[name]
	if !ok {
		return nil, fmt.Errorf("signature scheme %q: unknown hash %q, use one of %s", scheme, name, strings.Join(hashNames(), ", "))
	}
	s := &Signer{scheme: scheme}
	if key == "" {
		return s, nil
	}
	secret := []byte(key)
	s.states = &sync.Pool{New: func() any {
		mac := hmac.New(newHash, secret)
		return &signState{mac: mac, sum: make([]byte, 0, mac.Size()), hex: make([]byte, 2*mac.Size())}
	}}
	return s, nil
}

func hashNames() []string {
	names := make([]string, 0, len(hashes))
	for name := range hashes {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Scheme returns the signature_scheme of the signer.
func (s *Signer) Scheme() string { return s.scheme }

// Enabled reports whether there is a key, so that messages are signed.
func (s *Signer) Enabled() bool { return s.states != nil }

// compute stores the signature of m in st.hex.
func (st *signState) compute(m *Message) {
	st.mac.Reset()
	st.mac.Write(m.Header)
	st.mac.Write(m.Parent)
	st.mac.Write(m.Metadata)
	st.mac.Write(m.Content)
	st.sum = st.mac.Sum(st.sum[:0])
	hex.Encode(st.hex, st.sum)
}

// Sign returns the signature frame of m's four packed parts, in lower-case hex.
func (s *Signer) Sign(m *Message) []byte {
	if s.states == nil {
		return []byte{}
	}
	st := s.states.Get().(*signState)
	st.compute(m)
	signature := slices.Clone(st.hex)
	s.states.Put(st)
	return signature
}

// Verify checks m.Signature in constant time. It returns ErrUnsigned or
// ErrBadSignature.
func (s *Signer) Verify(m *Message) error {
	if s.states == nil {
		return nil
	}
	if len(m.Signature) == 0 {
		return ErrUnsigned
	}
	st := s.states.Get().(*signState)
	st.compute(m)
	same := subtle.ConstantTimeCompare(st.hex, m.Signature) == 1
	s.states.Put(st)
	if !same {
		return ErrBadSignature
	}
	return nil
}
