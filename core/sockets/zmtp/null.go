package zmtp

import (
	"io"

	"github.com/go-zeromq/zmq4"
)

// NullMechanism is the security mechanism NULL: each side sends its Properties, and
// nothing is encrypted.
type NullMechanism struct{ Properties []byte }

var _ zmq4.Security = NullMechanism{}

// Type implements zmq4.Security.
func (NullMechanism) Type() zmq4.SecurityType { return zmq4.NullSecurity }

// Handshake implements zmq4.Security.
func (m NullMechanism) Handshake(conn *zmq4.Conn, _ bool) error {
	if err := conn.SendCmd(zmq4.CmdReady, m.Properties); err != nil {
		return err
	}
	ready, err := ReceiveCommand(conn, zmq4.CmdReady)
	if err != nil {
		return err
	}
	return ReadProperties(ready, conn.Peer.Meta)
}

// Encrypt implements zmq4.Security.
func (NullMechanism) Encrypt(w io.Writer, data []byte) (int, error) { return w.Write(data) }

// Decrypt implements zmq4.Security.
func (NullMechanism) Decrypt(w io.Writer, data []byte) (int, error) { return w.Write(data) }
