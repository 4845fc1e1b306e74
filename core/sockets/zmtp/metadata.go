package zmtp

import (
	"encoding/binary"
	"errors"
	"strings"

	"github.com/go-zeromq/zmq4"
)

// Peers describe themselves at the end of a handshake with properties. Each is a name
// behind its length in one byte and a value behind its length in four (RFC 23). Names
// are compared without case. zmq4 reads and writes them too, but more slowly: it passes
// each name through a library that knows the capital letters of all languages.
const (
	PropertyType     = "Socket-Type"
	PropertyIdentity = "Identity"

	// MaxIdentity bounds the value of PropertyIdentity in bytes.
	MaxIdentity = 255
)

var errProperty = errors.New("a property extends past the end of the metadata")

func appendProperty(b []byte, name, value string) []byte {
	b = append(append(b, byte(len(name))), name...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(value)))
	return append(b, value...)
}

// Properties returns what a socket of this type and identity sends about itself.
func Properties(socketType string, identity []byte) []byte {
	return appendProperty(appendProperty(nil, PropertyType, socketType), PropertyIdentity, string(identity))
}

// ReadProperties reads the properties of a peer and puts PropertyType and
// PropertyIdentity into meta; others are skipped.
func ReadProperties(b []byte, meta zmq4.Metadata) error {
	for len(b) > 0 {
		n := int(b[0])
		if len(b) < 1+n+4 {
			return errProperty
		}
		name, rest := b[1:1+n], b[1+n+4:]
		size := binary.BigEndian.Uint32(b[1+n:])
		if uint64(size) > uint64(len(rest)) {
			return errProperty
		}
		for _, known := range [...]string{PropertyType, PropertyIdentity} {
			if strings.EqualFold(string(name), known) {
				meta[known] = string(rest[:size])
			}
		}
		b = rest[size:]
	}
	return nil
}
