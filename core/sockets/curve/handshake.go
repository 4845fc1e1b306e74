package sockets

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"syscall"

	"github.com/go-zeromq/zmq4"
	"golang.org/x/crypto/nacl/secretbox"
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
// server forget a handshake until the INITIATE; ours remembers it in the
// connection, so its cookie is random, says nothing, and must come back.
const (
	curveBox      = secretbox.Overhead // a box is this much longer than what is in it
	curveCounter  = 8
	curveCookie   = 96
	helloSize     = 2 + 72 + 32 + curveCounter + 64 + curveBox
	welcomeSize   = 16 + 32 + curveCookie + curveBox
	vouchSize     = 32 + 32 + curveBox
	initiateLeast = curveCookie + curveCounter + curveBox + 32 + 16 + vouchSize
	readyLeast    = curveCounter + curveBox
	helloKeyAt    = 2 + 72
	helloCountAt  = helloKeyAt + 32
	helloBoxAt    = helloCountAt + curveCounter
)

// Why handshakes fail.
var (
	errHello     = errors.New("CURVE: the peer does not know this server's key, or sends a malformed HELLO")
	errWelcome   = errors.New("CURVE: WELCOME does not open: this server has another key than expected")
	errCookie    = errors.New("CURVE: INITIATE with a wrong cookie")
	errInitiate  = errors.New("CURVE: INITIATE does not open")
	errVouch     = errors.New("CURVE: INITIATE with a wrong vouch")
	errReadyBox  = errors.New("CURVE: READY does not open")
	errRepeated  = errors.New("CURVE: a counter does not grow")
	errMetadata  = errors.New("CURVE: metadata too long")
	errServerKey = errors.New("closed by the peer within the CURVE handshake: is its server key still the one that is known here?")
)

// nonce answers a long nonce of one of the prefixes and what makes it unique.
func nonce(prefix string, rest []byte) *[24]byte {
	var n [24]byte
	copy(n[copy(n[:], prefix):], rest)
	return &n
}

// counted is nonce with a counter.
func counted(prefix string, counter uint64) *[24]byte {
	return nonce(prefix, binary.BigEndian.AppendUint64(nil, counter))
}

// random answers n random bytes.
func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails; the program ends when there is no randomness
	return b
}

// curvePeer is what both roles of a handshake know.
type curvePeer struct {
	keys    *curveKeys
	short   pair   // C' or S'
	counter uint64 // the last that was sent
	seen    uint64 // the last that came
	shared  *[32]byte
}

// grow takes the counter of a command that came.
func (p *curvePeer) grow(b []byte) (uint64, error) {
	n := binary.BigEndian.Uint64(b)
	if n <= p.seen {
		return 0, errRepeated
	}
	p.seen = n
	return n, nil
}

// curveServer is the server's side of one handshake. Its methods are called in
// their order; an error ends it.
type curveServer struct {
	curvePeer
	peer   Key // C'
	cookie []byte
}

// hello takes a HELLO and answers the WELCOME.
func (p *curveServer) hello(b []byte) ([]byte, error) {
	if len(b) != helloSize || b[0] != 1 || b[1] != 0 {
		return nil, errHello
	}
	p.peer = Key(b[helloKeyAt:helloCountAt])
	counter, err := p.grow(b[helloCountAt:])
	if err != nil {
		return nil, err
	}
	known, err := p.keys.own.share(p.peer)
	if err != nil {
		return nil, err
	}
	zeros, ok := secretbox.Open(nil, b[helloBoxAt:], counted("CurveZMQHELLO---", counter), known)
	if !ok || subtle.ConstantTimeCompare(zeros, make([]byte, 64)) != 1 {
		return nil, errHello
	}
	p.short, p.cookie = newPair(NewKey()), random(curveCookie)
	welcome := random(16)
	return secretbox.Seal(welcome, slices.Concat(p.short.public[:], p.cookie), nonce("WELCOME-", welcome), known), nil
}

// initiate takes an INITIATE and answers the client's metadata.
func (p *curveServer) initiate(b []byte) (metadata []byte, err error) {
	if len(b) < initiateLeast {
		return nil, errInitiate
	}
	if subtle.ConstantTimeCompare(b[:curveCookie], p.cookie) != 1 {
		return nil, errCookie
	}
	counter, err := p.grow(b[curveCookie:])
	if err != nil {
		return nil, err
	}
	if p.shared, err = p.short.share(p.peer); err != nil {
		return nil, err
	}
	inside, ok := secretbox.Open(nil, b[curveCookie+curveCounter:], counted("CurveZMQINITIATE", counter), p.shared)
	if !ok {
		return nil, errInitiate
	}
	client := Key(inside)
	vouch := inside[32+16 : 32+16+vouchSize]
	known, err := p.short.share(client)
	if err != nil {
		return nil, err
	}
	said, ok := secretbox.Open(nil, vouch, nonce("VOUCH---", inside[32:32+16]), known)
	if !ok || subtle.ConstantTimeCompare(said, slices.Concat(p.peer[:], p.keys.own.public[:])) != 1 {
		return nil, errVouch
	}
	return inside[32+16+vouchSize:], nil
}

// ready answers the READY with our metadata.
func (p *curveServer) ready(metadata []byte) []byte {
	p.counter++
	b := binary.BigEndian.AppendUint64(nil, p.counter)
	return secretbox.Seal(b, metadata, counted("CurveZMQREADY---", p.counter), p.shared)
}

// traffic answers what seals and opens frames after the handshake.
func (p *curveServer) traffic() (*sealer, *opener) {
	return newSealer("CurveZMQMESSAGES", p.shared, p.counter), newOpener("CurveZMQMESSAGEC", p.shared, p.seen)
}

// curveClient is the client's side of one handshake.
type curveClient struct{ curvePeer }

// hello answers a HELLO.
func (p *curveClient) hello() ([]byte, error) {
	p.short = newPair(NewKey())
	known, err := p.short.share(p.keys.serverKey)
	if err != nil {
		return nil, err
	}
	p.counter++
	b := make([]byte, helloKeyAt, helloSize)
	b[0] = 1
	b = binary.BigEndian.AppendUint64(append(b, p.short.public[:]...), p.counter)
	p.shared = known // until WELCOME
	return secretbox.Seal(b, make([]byte, 64), counted("CurveZMQHELLO---", p.counter), known), nil
}

// welcome takes a WELCOME and answers an INITIATE with our metadata.
func (p *curveClient) welcome(b, metadata []byte) ([]byte, error) {
	if len(b) != welcomeSize {
		return nil, errWelcome
	}
	inside, ok := secretbox.Open(nil, b[16:], nonce("WELCOME-", b[:16]), p.shared)
	if !ok {
		return nil, errWelcome
	}
	server, cookie := Key(inside), inside[32:]
	vouching, err := p.keys.own.share(server)
	if err != nil {
		return nil, err
	}
	if p.shared, err = p.short.share(server); err != nil {
		return nil, err
	}
	unique := random(16)
	said := slices.Concat(p.keys.own.public[:], unique)
	said = secretbox.Seal(said, slices.Concat(p.short.public[:], p.keys.serverKey[:]), nonce("VOUCH---", unique), vouching)
	said = append(said, metadata...)
	if len(said) > maxCommand-512 {
		return nil, errMetadata
	}
	p.counter++
	initiate := binary.BigEndian.AppendUint64(cookie[:curveCookie:curveCookie], p.counter)
	return secretbox.Seal(initiate, said, counted("CurveZMQINITIATE", p.counter), p.shared), nil
}

// ready takes a READY and answers the server's metadata.
func (p *curveClient) ready(b []byte) ([]byte, error) {
	if len(b) < readyLeast {
		return nil, errReadyBox
	}
	counter, err := p.grow(b)
	if err != nil {
		return nil, err
	}
	metadata, ok := secretbox.Open(nil, b[curveCounter:], counted("CurveZMQREADY---", counter), p.shared)
	if !ok {
		return nil, errReadyBox
	}
	return metadata, nil
}

// traffic is as that of a curveServer.
func (p *curveClient) traffic() (*sealer, *opener) {
	return newSealer("CurveZMQMESSAGEC", p.shared, p.counter), newOpener("CurveZMQMESSAGES", p.shared, p.seen)
}

// curveSecurity runs the handshake of one connection within zmq4.Open.
type curveSecurity struct {
	keys   *curveKeys
	ours   []byte // properties
	sealer *sealer
	opener *opener
}

var _ zmq4.Security = (*curveSecurity)(nil)

// Type implements zmq4.Security.
func (s *curveSecurity) Type() zmq4.SecurityType { return zmq4.CurveSecurity }

// Encrypt and Decrypt only see the commands of the handshake, which are sealed
// by themselves.
func (s *curveSecurity) Encrypt(w io.Writer, data []byte) (int, error) { return w.Write(data) }

// Decrypt implements zmq4.Security.
func (s *curveSecurity) Decrypt(w io.Writer, data []byte) (int, error) { return w.Write(data) }

// arithmetic admits half the processors to the arithmetic of handshakes, four
// multiplications each: a crowd of peers, or of attackers, leaves the other
// half to those who are served already.
var arithmetic = make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))

// compute runs one step of a handshake when its turn has come.
func compute(step func() ([]byte, error)) ([]byte, error) {
	arithmetic <- struct{}{}
	defer func() { <-arithmetic }()
	return step()
}

// Handshake implements zmq4.Security.
func (s *curveSecurity) Handshake(conn *zmq4.Conn, _ bool) error {
	shake := s.join
	if s.keys.server {
		shake = s.serve
	}
	theirs, err := shake(conn, s.ours)
	if err != nil {
		return err
	}
	return readProperties(theirs, conn.Peer.Meta)
}

// serve is the handshake of a server; it answers the client's metadata.
func (s *curveSecurity) serve(conn *zmq4.Conn, ours []byte) ([]byte, error) {
	p := &curveServer{curvePeer: curvePeer{keys: s.keys}}
	hello, err := receive(conn, zmq4.CmdHello)
	if err != nil {
		return nil, err
	}
	welcome, err := compute(func() ([]byte, error) { return p.hello(hello) })
	if err != nil {
		return nil, err
	}
	if err := conn.SendCmd(zmq4.CmdWelcome, welcome); err != nil {
		return nil, err
	}
	initiate, err := receive(conn, zmq4.CmdInitiate)
	if err != nil {
		return nil, err
	}
	theirs, err := compute(func() ([]byte, error) { return p.initiate(initiate) })
	if err != nil {
		return nil, err
	}
	if err := conn.SendCmd(zmq4.CmdReady, p.ready(ours)); err != nil {
		return nil, err
	}
	s.sealer, s.opener = p.traffic()
	return theirs, nil
}

// join is the handshake of a client; it answers the server's metadata.
func (s *curveSecurity) join(conn *zmq4.Conn, ours []byte) ([]byte, error) {
	p := &curveClient{curvePeer{keys: s.keys}}
	hello, err := compute(p.hello)
	if err != nil {
		return nil, err
	}
	if err := conn.SendCmd(zmq4.CmdHello, hello); err != nil {
		return nil, err
	}
	welcome, err := receive(conn, zmq4.CmdWelcome)
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		return nil, errServerKey
	} else if err != nil {
		return nil, err
	}
	initiate, err := compute(func() ([]byte, error) { return p.welcome(welcome, ours) })
	if err != nil {
		return nil, err
	}
	if err := conn.SendCmd(zmq4.CmdInitiate, initiate); err != nil {
		return nil, err
	}
	ready, err := receive(conn, zmq4.CmdReady)
	if err != nil {
		return nil, err
	}
	theirs, err := p.ready(ready)
	if err != nil {
		return nil, err
	}
	s.sealer, s.opener = p.traffic()
	return theirs, nil
}

// receive reads one command of the handshake.
func receive(conn *zmq4.Conn, name string) ([]byte, error) {
	cmd, err := conn.RecvCmd()
	if err != nil {
		return nil, err
	}
	if cmd.Name != name {
		return nil, fmt.Errorf("command %.20s in place of %s", printable([]byte(cmd.Name)), name)
	}
	return cmd.Body, nil
}
