package sockets

import (
	"encoding/binary"
	"errors"
	"io"
	"strings"

	"github.com/go-zeromq/zmq4"
)

// What peers tell of themselves at the end of a handshake: properties, each a
// name behind its length in one byte and a value behind its length in four (RFC
// 23). Names are compared without case.
const (
	propertyType     = "Socket-Type"
	propertyIdentity = "Identity"
)

var errProperty = errors.New("property that goes beyond the metadata")

func appendProperty(b []byte, name, value string) []byte {
	b = append(append(b, byte(len(name))), name...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(value)))
	return append(b, value...)
}

// properties answers what a socket tells its peers.
func properties(kind Kind, identity []byte) []byte {
	return appendProperty(appendProperty(nil, propertyType, string(kind)), propertyIdentity, string(identity))
}

// readProperties enters those of a peer that matter here under their names.
func readProperties(b []byte, meta zmq4.Metadata) error {
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
		for _, known := range [...]string{propertyType, propertyIdentity} {
			if strings.EqualFold(string(name), known) {
				meta[known] = string(rest[:size])
			}
		}
		b = rest[size:]
	}
	return nil
}

// nullSecurity is the mechanism NULL: each side tells its properties.
type nullSecurity struct{ ours []byte }

// Type implements zmq4.Security.
func (nullSecurity) Type() zmq4.SecurityType { return zmq4.NullSecurity }

// Handshake implements zmq4.Security.
func (s nullSecurity) Handshake(conn *zmq4.Conn, _ bool) error {
	if err := conn.SendCmd(zmq4.CmdReady, s.ours); err != nil {
		return err
	}
	ready, err := receive(conn, zmq4.CmdReady)
	if err != nil {
		return err
	}
	return readProperties(ready, conn.Peer.Meta)
}

// Encrypt implements zmq4.Security.
func (nullSecurity) Encrypt(w io.Writer, data []byte) (int, error) { return w.Write(data) }

// Decrypt implements zmq4.Security.
func (nullSecurity) Decrypt(w io.Writer, data []byte) (int, error) { return w.Write(data) }
