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

// How long a live controller may take to accept a connection, and to reply.
const (
	dialTimeout  = 300 * time.Millisecond
	replyTimeout = time.Second
)

// isAlive reports whether the controller that a client file describes is alive: it
// replies to a request signed with the file's key. An open port alone proves
// nothing, because ports are reused.
func isAlive(c *connfile.Client) bool {
	endpoint := c.URL(c.Registration)
	conn, err := net.DialTimeout("tcp", strings.TrimPrefix(endpoint, "tcp://"), dialTimeout)
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
	replied := make(chan struct{}, 1)
	s := sockets.New(sockets.Dealer, sockets.Options{Curve: curve, Handler: func(_ *sockets.Conn, frames [][]byte) {
		if _, err := session.Open(frames); err == nil {
			select {
			case replied <- struct{}{}:
			default:
			}
		}
	}})
	defer func() { _ = s.Close(0) }()
	if s.Dial(endpoint) != nil || s.Send(request.AppendFrames(nil)...) != nil {
		return false
	}
	select {
	case <-replied:
		return true
	case <-time.After(replyTimeout):
		return false
	}
}
