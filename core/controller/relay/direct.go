package relay

import (
	"fmt"
	"strings"
	"time"

	"github.com/ipcore/ipcore/core/controller/monitor"
	"github.com/ipcore/ipcore/core/sockets"
	"github.com/ipcore/ipcore/core/wire"
)

// Direct is a relay between clients and the engines they name: mux or control. Each
// has its own sockets, so control messages never wait behind user work.
type Direct struct {
	Clients *sockets.Socket // ROUTER; the owner makes it listen
	Engines *sockets.Socket // ROUTER; likewise

	o         Options
	in        monitor.Topic
	out       monitor.Topic
	replyType func(requestType string) (replyType string, ok bool)
	drops     dropLog
}

// NewMux returns the relay of direct requests.
func NewMux(o Options) *Direct { return newDirect("mux", monitor.In, monitor.Out, muxReplyType, o) }

// NewControl returns the relay of control requests.
func NewControl(o Options) *Direct {
	return newDirect("control", monitor.InControl, monitor.OutControl, controlReplyType, o)
}

// muxReplyType knows few types, because Python clients raise an error on other
// replies on mux.
func muxReplyType(request string) (string, bool) {
	switch request {
	case "apply_request":
		return "apply_reply", true
	case "execute_request":
		return "execute_reply", true
	}
	return "", false
}

func controlReplyType(request string) (string, bool) {
	name, ok := strings.CutSuffix(request, "_request")
	return name + "_reply", ok
}

func newDirect(name string, in, out monitor.Topic, answer func(string) (string, bool), o Options) *Direct {
	d := &Direct{o: o, in: in, out: out, replyType: answer, drops: dropLog{log: o.Log}}
	d.Clients = o.clientSocket(name+"_in", d.fromClient)
	d.Engines = o.engineSocket(sockets.Router, name+"_out", d.fromEngine)
	return d
}

// fromClient forwards [U, M] to the engine U as [C, M].
func (d *Direct) fromClient(c *sockets.Conn, frames [][]byte) {
	if err := d.o.check(frames); err != nil {
		d.drops.drop(c.RemoteAddr(), err)
		return
	}
	c.Trust()
	engine, msg := frames[0], frames[1:]
	d.o.Monitor.Relayed(d.in, engine, c.Identity(), msg)
	err := sockets.ErrNoPeer
	if e := d.Engines.Lookup(engine); e != nil {
		frames[0] = c.Identity()
		err = e.Enqueue(frames...)
	}
	if err != nil {
		d.refuse(c, engine, msg, err)
	}
}

// fromEngine forwards [C, M] to the client C as [U, M].
func (d *Direct) fromEngine(e *sockets.Conn, frames [][]byte) {
	if err := d.o.check(frames); err != nil {
		d.drops.drop(e.RemoteAddr(), err)
		return
	}
	e.Trust()
	client, msg := frames[0], frames[1:]
	d.o.Monitor.Relayed(d.out, e.Identity(), client, msg)
	c := d.Clients.Lookup(client)
	if c == nil {
		return // it has disconnected; the hub has the reply
	}
	frames[0] = e.Identity()
	if err := c.Enqueue(frames...); err != nil {
		d.o.Log.Warn("reply not sent to the client", "peer", c.RemoteAddr(), "error", err)
	}
}

// refuse replies to a request for an engine that cannot be reached.
func (d *Direct) refuse(c *sockets.Conn, engine []byte, msg [][]byte, cause error) {
	reply, err := d.refusal(engine, msg, cause)
	if err != nil {
		d.drops.drop(c.RemoteAddr(), err)
		return
	}
	if reply == nil {
		return
	}
	d.o.Monitor.Relayed(d.out, engine, c.Identity(), reply)
	if err := c.Enqueue(append([][]byte{engine}, reply...)...); err != nil {
		d.o.Log.Warn("reply not sent to the client", "peer", c.RemoteAddr(), "error", err)
	}
}

// refusal returns that reply; nil for a request that has none.
func (d *Direct) refusal(engine []byte, msg [][]byte, cause error) ([][]byte, error) {
	m, err := wire.Parse(msg)
	if err != nil {
		return nil, err
	}
	header, err := wire.PeekHeader(m.Header)
	if err != nil {
		return nil, err
	}
	d.o.Log.Warn("request refused: its engine is not reachable", "engine", string(engine), "msg_id", header.MsgID, "error", cause)
	kind, ok := d.replyType(header.MsgType)
	if !ok {
		return nil, nil
	}
	return engineError(d.o.Session, kind, m.Header, string(engine),
		fmt.Sprintf("Engine '%s' is not connected: message '%s' was not delivered", engine, header.MsgID))
}

// engineError returns an EngineError reply in the name of an engine.
func engineError(s *wire.Session, kind string, parent []byte, engine, text string) ([][]byte, error) {
	meta := map[string]string{"status": "error", "engine": engine, "date": wire.FormatDate(time.Now())}
	m, err := s.Message(kind, parent, meta, wire.NewRemoteError("EngineError", text))
	if err != nil {
		return nil, err
	}
	return m.AppendFrames(nil), nil
}

// Close closes the sockets, writing what is queued for at most linger.
func (d *Direct) Close(linger time.Duration) { closeAll(linger, d.Engines, d.Clients) }
