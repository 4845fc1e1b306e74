package relay

import (
	"time"

	"github.com/ipcore/ipcore/core/controller/monitor"
	"github.com/ipcore/ipcore/core/sockets"
)

// IOPub publishes to all clients what engines print and report.
type IOPub struct {
	Clients *sockets.Socket // PUB; to be listened on by the owner
	Engines *sockets.Socket // SUB; likewise

	o     Options
	drops dropLog
}

// lateOutput is for how long output is kept for clients that are just
// connecting: a native engine answers a first request before the client's
// subscription to output has arrived.
const replayOutput = time.Second

// NewIOPub makes the relay.
func NewIOPub(o Options) *IOPub {
	p := &IOPub{o: o, drops: dropLog{log: o.Log}}
	p.Clients = sockets.New(sockets.Pub, sockets.Options{
		Identity: []byte(o.Session.ID + "_iopub"), Replay: replayOutput, Curve: o.Curve, Limits: o.Limits, Log: o.Log,
	})
	p.Engines = sockets.New(sockets.Sub, sockets.Options{Handler: p.fromEngine, Curve: o.Curve, Limits: o.Limits, Log: o.Log})
	p.Engines.Subscribe(nil)
	return p
}

// fromEngine publishes what an engine publishes: a topic and a message. It goes
// to every client, so what is not signed with the cluster's key stops here.
func (p *IOPub) fromEngine(e *sockets.Conn, frames [][]byte) {
	if err := p.o.check(frames); err != nil {
		p.drops.drop(e.RemoteAddr(), err)
		return
	}
	p.o.Monitor.Relayed(monitor.IOPub, nil, nil, frames[1:])
	if err := p.Clients.Enqueue(frames...); err != nil {
		p.o.Log.Debug("output not published", "error", err)
	}
}

// Close closes the sockets, writing what is queued for at most linger.
func (p *IOPub) Close(linger time.Duration) { closeAll(linger, p.Engines, p.Clients) }
