package curve

import (
	"errors"
	"io"
	"runtime"
	"syscall"

	"github.com/go-zeromq/zmq4"

	"github.com/ipcore/ipcore/core/sockets/zmtp"
)

// Mechanism runs the handshake of one connection within zmq4.Open.
type Mechanism struct {
	keys       *Keys
	properties []byte
	sealer     *Sealer
	opener     *Opener
}

var _ zmq4.Security = (*Mechanism)(nil)

// NewMechanism returns the mechanism of one connection, which sends these properties to
// the peer (zmtp.Properties).
func NewMechanism(keys *Keys, properties []byte) *Mechanism {
	return &Mechanism{keys: keys, properties: properties}
}

// Sealer returns what seals the frames that are sent; nil before the handshake is done.
func (m *Mechanism) Sealer() *Sealer { return m.sealer }

// Opener returns what opens the frames that are received; nil before the handshake is
// done.
func (m *Mechanism) Opener() *Opener { return m.opener }

// Type implements zmq4.Security.
func (m *Mechanism) Type() zmq4.SecurityType { return zmq4.CurveSecurity }

// Encrypt implements zmq4.Security. zmq4 calls Encrypt and Decrypt only for the commands
// of the handshake, which seal their contents themselves.
func (m *Mechanism) Encrypt(w io.Writer, data []byte) (int, error) { return w.Write(data) }

// Decrypt implements zmq4.Security.
func (m *Mechanism) Decrypt(w io.Writer, data []byte) (int, error) { return w.Write(data) }

// computing admits half the processors to the arithmetic of handshakes, four
// multiplications each: a crowd of peers, or of attackers, leaves the other half to
// the peers that are already connected.
var computing = make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))

// compute runs one step of a handshake as soon as a processor is free for it.
func compute(step func() ([]byte, error)) ([]byte, error) {
	computing <- struct{}{}
	defer func() { <-computing }()
	return step()
}

// Handshake implements zmq4.Security.
func (m *Mechanism) Handshake(conn *zmq4.Conn, _ bool) error {
	run := m.runClient
	if m.keys.server {
		run = m.runServer
	}
	theirs, err := run(conn)
	if err != nil {
		return err
	}
	return zmtp.ReadProperties(theirs, conn.Peer.Meta)
}

// runServer runs the handshake of a server and returns the client's metadata.
func (m *Mechanism) runServer(conn *zmq4.Conn) ([]byte, error) {
	h := &serverHandshake{handshake: handshake{keys: m.keys}}
	hello, err := zmtp.ReceiveCommand(conn, zmq4.CmdHello)
	if err != nil {
		return nil, err
	}
	welcome, err := compute(func() ([]byte, error) { return h.hello(hello) })
	if err != nil {
		return nil, err
	}
	if err := conn.SendCmd(zmq4.CmdWelcome, welcome); err != nil {
		return nil, err
	}
	initiate, err := zmtp.ReceiveCommand(conn, zmq4.CmdInitiate)
	if err != nil {
		return nil, err
	}
	theirs, err := compute(func() ([]byte, error) { return h.initiate(initiate) })
	if err != nil {
		return nil, err
	}
	if err := conn.SendCmd(zmq4.CmdReady, h.ready(m.properties)); err != nil {
		return nil, err
	}
	m.sealer, m.opener = h.streams()
	return theirs, nil
}

// runClient runs the handshake of a client and returns the server's metadata.
func (m *Mechanism) runClient(conn *zmq4.Conn) ([]byte, error) {
	h := &clientHandshake{handshake{keys: m.keys}}
	hello, err := compute(h.hello)
	if err != nil {
		return nil, err
	}
	if err := conn.SendCmd(zmq4.CmdHello, hello); err != nil {
		return nil, err
	}
	welcome, err := zmtp.ReceiveCommand(conn, zmq4.CmdWelcome)
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		return nil, errServerKey
	} else if err != nil {
		return nil, err
	}
	initiate, err := compute(func() ([]byte, error) { return h.welcome(welcome, m.properties) })
	if err != nil {
		return nil, err
	}
	if err := conn.SendCmd(zmq4.CmdInitiate, initiate); err != nil {
		return nil, err
	}
	ready, err := zmtp.ReceiveCommand(conn, zmq4.CmdReady)
	if err != nil {
		return nil, err
	}
	theirs, err := h.ready(ready)
	if err != nil {
		return nil, err
	}
	m.sealer, m.opener = h.streams()
	return theirs, nil
}
