package sockets

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/ipcore/ipcore/core/sockets/zmtp"
)

// rawPeer is a connection on which a test writes and reads ZMTP itself, correct or not.
type rawPeer struct {
	*net.TCPConn
	t *testing.T
}

func rawDial(t *testing.T, endpoint string) *rawPeer {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(endpoint, "tcp://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &rawPeer{conn.(*net.TCPConn), t}
}

func (p *rawPeer) write(b []byte) {
	p.t.Helper()
	_ = p.SetWriteDeadline(time.Now().Add(timeout))
	if _, err := p.Write(b); err != nil {
		p.t.Fatalf("write: %v", err)
	}
}

func greeting(mechanism string) []byte {
	g := make([]byte, 64)
	g[0], g[8], g[9], g[10], g[11] = 0xff, 1, 0x7f, 3, 1
	copy(g[12:], mechanism)
	return g
}

// rawFrame returns a frame with these flags.
func rawFrame(flags byte, body string) []byte {
	var h [zmtp.LongHeader]byte
	return append(bytes.Clone(zmtp.PutHeader(&h, flags, len(body))), body...)
}

// claimedHeader returns the header of a frame whose body has size bytes.
func claimedHeader(flags byte, size uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{flags | zmtp.FlagLong}, size)
}

func ready(kind Kind, identity string) []byte {
	return rawFrame(zmtp.FlagCommand, "\x05READY"+string(zmtp.Properties(string(kind), []byte(identity))))
}

// handshake does a good handshake.
func (p *rawPeer) handshake(kind Kind, identity string) {
	p.t.Helper()
	p.write(append(greeting("NULL"), ready(kind, identity)...))
	p.readGreeting()
	if flags, _ := p.frame(); flags != zmtp.FlagCommand {
		p.t.Fatalf("READY has flags %#x", flags)
	}
}

// readGreeting reads the other side's greeting.
func (p *rawPeer) readGreeting() {
	p.t.Helper()
	_ = p.SetReadDeadline(time.Now().Add(timeout))
	if _, err := io.CopyN(io.Discard, p, zmtp.GreetingSize); err != nil {
		p.t.Fatalf("greeting: %v", err)
	}
}

// frame reads one frame.
func (p *rawPeer) frame() (byte, []byte) {
	p.t.Helper()
	_ = p.SetReadDeadline(time.Now().Add(timeout))
	var h [zmtp.LongHeader]byte
	if _, err := io.ReadFull(p, h[:2]); err != nil {
		p.t.Fatalf("read: %v", err)
	}
	if h[0]&zmtp.FlagLong != 0 {
		if _, err := io.ReadFull(p, h[2:]); err != nil {
			p.t.Fatalf("read: %v", err)
		}
	}
	_, size, _ := zmtp.ParseHeader(h[:])
	body := make([]byte, size)
	if _, err := io.ReadFull(p, body); err != nil {
		p.t.Fatalf("read: %v", err)
	}
	return h[0], body
}

// wantClosed waits until the other side has closed.
func (p *rawPeer) wantClosed() {
	p.t.Helper()
	_ = p.SetReadDeadline(time.Now().Add(timeout))
	_, err := io.Copy(io.Discard, p)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		p.t.Fatal("the connection was left open")
	}
}
