package relay

import (
	"github.com/ipcore/ipcore/core/controller/monitor"
	"github.com/ipcore/ipcore/core/sockets"
)

// The scheme "pure" has a ROUTER for clients and a DEALER, which gives the
// connected engines one task each in turn. The engine sees [task_out, C, M], the
// client [M].

func (t *Task) pureFromClient(c *sockets.Conn, frames [][]byte) {
	if err := t.pureSubmit(c.Identity(), frames); err != nil {
		t.drops.drop(c.RemoteAddr(), err)
	}
}

func (t *Task) pureSubmit(client []byte, msg [][]byte) error {
	if _, err := t.o.Session.Peek(msg); err != nil {
		return err
	}
	t.o.Monitor.Relayed(monitor.InTask, nil, client, msg)
	defer sockets.FlushAll()
	return t.Engines.Enqueue(append([][]byte{client}, msg...)...)
}

func (t *Task) pureFromEngine(e *sockets.Conn, frames [][]byte) {
	if err := t.o.check(frames); err != nil {
		t.drops.drop(e.RemoteAddr(), err)
		return
	}
	client, msg := frames[0], frames[1:]
	t.o.Monitor.Relayed(monitor.OutTask, e.Identity(), client, msg)
	c := t.Clients.Lookup(client)
	if c == nil {
		return // it has disconnected, or the task is the hub's
	}
	if err := c.Enqueue(msg...); err != nil {
		t.o.Log.Warn("reply not sent to the client", "peer", c.RemoteAddr(), "error", err)
	}
}
