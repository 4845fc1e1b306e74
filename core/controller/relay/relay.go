package relay

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/controller/monitor"
	"github.com/ipcore/ipcore/core/sockets"
	"github.com/ipcore/ipcore/core/sockets/curve"
	"github.com/ipcore/ipcore/core/wire"
	"github.com/ipcore/ipcore/internal/lograte"
)

// Options are common to all relays.
type Options struct {
	Session *wire.Session // signs replies of the relay itself
	Monitor monitor.Monitor
	// Connected and Disconnected report engines' connections. While an engine is
	// connected, at least one connection has been reported as such. Either may be
	// nil.
	Connected    func(uuid string)
	Disconnected func(uuid string)
	Curve        *curve.Config // nil means no encryption
	Limits       sockets.Limits
	Log          hclog.Logger

	processPending func() // as sockets.Options has it
}

// engineSocket returns a socket that engines connect to.
func (o *Options) engineSocket(kind sockets.Kind, id string, handler func(*sockets.Conn, [][]byte)) *sockets.Socket {
	return sockets.New(kind, sockets.Options{
		Identity: []byte(id),
		Handler:  handler,
		Connected: func(c *sockets.Conn) {
			if o.Connected != nil {
				o.Connected(string(c.Identity()))
			}
		},
		Disconnected: func(c *sockets.Conn, _ error) {
			if o.Disconnected != nil {
				o.Disconnected(string(c.Identity()))
			}
		},
		AfterRead: o.processPending,
		Curve:     o.Curve,
		Limits:    o.Limits,
		Log:       o.Log,
	})
}

// clientSocket returns the ROUTER that clients connect to.
func (o *Options) clientSocket(id string, handler func(*sockets.Conn, [][]byte)) *sockets.Socket {
	return sockets.New(sockets.Router, sockets.Options{
		Identity: []byte(id), Handler: handler, AfterRead: o.processPending, Curve: o.Curve, Limits: o.Limits, Log: o.Log,
	})
}

// check returns an error unless frames are a signed message after at least one
// routing id or topic. Others are not passed on: the other end could only drop
// them, and knows less about where they came from.
func (o *Options) check(frames [][]byte) error {
	m, err := wire.Parse(frames)
	if err != nil {
		return err
	}
	if len(m.Idents) == 0 {
		return errNoIdentity
	}
	return o.Session.Signer().Verify(&m)
}

var errNoIdentity = errors.New("no routing id or topic before the message")

// closeAll closes sockets at the same time.
func closeAll(linger time.Duration, list ...*sockets.Socket) {
	var wg sync.WaitGroup
	for _, s := range list {
		wg.Go(func() { _ = s.Close(linger) })
	}
	wg.Wait()
}

// dropLog counts dropped messages and logs few of them for each host, so that a
// broken or hostile peer cannot fill the log.
type dropLog struct {
	log     hclog.Logger
	refused wire.Refusals
	hosts   lograte.Events[string]
}

func (c *dropLog) drop(peer net.Addr, err error) {
	c.refused.Count(err)
	host, _, splitErr := net.SplitHostPort(peer.String())
	if splitErr != nil {
		host = peer.String()
	}
	if n, ok := c.hosts.Log(host); ok {
		c.log.Warn("message dropped", "peer", peer, "error", err, "dropped_silently_before", n-1)
	}
}
