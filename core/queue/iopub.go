package queue

import (
	"time"

	"github.com/ipcore/ipcore/core/hub"
	"github.com/ipcore/ipcore/core/sockets"
)

// IOPub publishes to all clients what engines print and report.
type IOPub struct {
	Clients *sockets.Socket // PUB; to be listened on by the owner
	Engines *sockets.Socket // SUB; likewise

	o Options
}

// NewIOPub makes the relay.
func NewIOPub(o Options) *IOPub {
	p := &IOPub{o: o}
	p.Clients = sockets.New(sockets.Pub, sockets.Options{
		Identity: []byte(o.Session.ID + "_iopub"), Limits: o.Limits, Log: o.Log,
	})
	p.Engines = sockets.New(sockets.Sub, sockets.Options{Handler: p.fromEngine, Limits: o.Limits, Log: o.Log})
	p.Engines.Subscribe(nil)
	return p
}

func (p *IOPub) fromEngine(_ *sockets.Conn, frames [][]byte) {
	if len(frames) > 1 { // a topic and a message
		p.o.Monitor.Monitor(hub.IOPub, nil, nil, frames[1:])
	}
	if err := p.Clients.Send(frames...); err != nil {
		p.o.Log.Debug("output not published", "error", err)
	}
}

// Close closes the sockets, writing what is queued for at most linger.
func (p *IOPub) Close(linger time.Duration) { closeAll(linger, p.Engines, p.Clients) }
