package relay

import (
	"time"

	"github.com/ipcore/ipcore/core/controller/monitor"
	"github.com/ipcore/ipcore/core/sockets"
)

// IOPub publishes what engines print and report to all clients.
type IOPub struct {
	Clients *sockets.Socket // PUB; the owner makes it listen
	Engines *sockets.Socket // SUB; likewise

	o     Options
	drops dropLog
}

// replayOutput is how long output is kept for clients that are still connecting: a
// native engine replies to a first request before the client's subscription to
// output has arrived.
const replayOutput = time.Second

// NewIOPub returns the relay.
func NewIOPub(o Options) *IOPub {
	p := &IOPub{o: o, drops: dropLog{log: o.Log}}
	p.Clients = sockets.New(sockets.Pub, sockets.Options{
		Identity: []byte(o.Session.ID + "_iopub"), Replay: replayOutput, Curve: o.Curve, Limits: o.Limits, Log: o.Log,
	})
	p.Engines = sockets.New(sockets.Sub, sockets.Options{Handler: p.fromEngine, Curve: o.Curve, Limits: o.Limits, Log: o.Log})
	p.Engines.Subscribe(nil)
	return p
}

// fromEngine publishes an engine's message with its topic. It is sent to every
// client, so a message that is not signed with the cluster's key is dropped here.
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
