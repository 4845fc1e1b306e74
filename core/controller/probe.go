package controller

import (
	"net"
	"strings"
	"time"

	"github.com/ipcore/ipcore/core/connfile"
	"github.com/ipcore/ipcore/core/sockets"
	"github.com/ipcore/ipcore/core/sockets/curve"
	"github.com/ipcore/ipcore/core/wire"
)

// How long a controller may take to take a connection, and to answer.
const (
	probeDial   = 300 * time.Millisecond
	probeAnswer = time.Second
)

// answers tells whether the controller that a client file describes is alive:
// it answers a request signed with the file's key. That a port is open proves
// nothing, for ports are used again.
func answers(c *connfile.Client) bool {
	endpoint := c.URL(c.Registration)
	conn, err := net.DialTimeout("tcp", strings.TrimPrefix(endpoint, "tcp://"), probeDial)
	if err != nil {
		return false
	}
	_ = conn.Close()
	signer, err := wire.NewSigner(c.SignatureScheme, c.Key)
	if err != nil {
		return false
	}
	session, err := wire.NewSession("", signer, c.Pack)
	if err != nil {
		return false
	}
	curve, err := curve.ClientConfig(serverKey(c.CurveServerKey))
	if err != nil {
		return false
	}
	request, err := session.Message("connection_request", nil, nil, struct{}{})
	if err != nil {
		return false
	}
	answered := make(chan struct{}, 1)
	s := sockets.New(sockets.Dealer, sockets.Options{Curve: curve, Handler: func(_ *sockets.Conn, frames [][]byte) {
		if _, err := session.Open(frames); err == nil {
			select {
			case answered <- struct{}{}:
			default:
			}
		}
	}})
	defer func() { _ = s.Close(0) }()
	if s.Dial(endpoint) != nil || s.Send(request.AppendFrames(nil)...) != nil {
		return false
	}
	select {
	case <-answered:
		return true
	case <-time.After(probeAnswer):
		return false
	}
}
