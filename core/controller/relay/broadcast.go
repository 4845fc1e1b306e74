package relay

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/ipcore/ipcore/core/controller/monitor"
	"github.com/ipcore/ipcore/core/sockets"
	"github.com/ipcore/ipcore/core/wire"
)

// MaxBroadcastDepth limits the tree to 256 leaves.
const MaxBroadcastDepth = 8

// Broadcast sends one client's request to many engines. IPython Parallel has a tree
// of processes for it. Peers see the tree's leaves, its routing ids and its
// rewriting of messages, so these are kept, but one process does the work.
type Broadcast struct {
	Clients *sockets.Socket   // ROUTER; the owner makes it listen
	Leaves  []*sockets.Socket // ROUTER; likewise; the engine with id i uses leaf i mod len

	o     Options
	depth int
	paths [][][]byte // for each leaf, routing ids from its parent to the root
	drops dropLog
	collections
}

// LeafOptions replace the functions of Options for engines' connections, and are
// called with the leaf.
type LeafOptions struct {
	Connected    func(leaf int, uuid string)
	Disconnected func(leaf int, uuid string)
}

// NewBroadcast returns the relay with 2^depth leaves.
func NewBroadcast(depth int, leaf LeafOptions, o Options) (*Broadcast, error) {
	if depth < 0 || depth > MaxBroadcastDepth {
		return nil, fmt.Errorf("broadcast depth must be between 0 and %d, got %d", MaxBroadcastDepth, depth)
	}
	b := &Broadcast{o: o, depth: depth, drops: dropLog{log: o.Log}}
	b.waiting = map[collectionKey]*collection{}
	b.Clients = sockets.New(sockets.Router, sockets.Options{
		Identity: nodeID("0"), Handler: b.fromClient, Curve: o.Curve, Limits: o.Limits, Log: o.Log,
		Disconnected: func(c *sockets.Conn, _ error) { b.dropClient(c.Identity()) },
	})
	for i := range 1 << depth {
		path := fmt.Sprintf("%0*b", depth+1, i)
		var up [][]byte
		for n := depth; n > 0; n-- {
			up = append(up, nodeID(path[:n]))
		}
		b.paths = append(b.paths, up)
		o := o
		o.Connected = func(uuid string) { leaf.Connected(i, uuid) }
		o.Disconnected = func(uuid string) { leaf.Disconnected(i, uuid) }
		b.Leaves = append(b.Leaves, o.engineSocket(sockets.Router, string(nodeID(path)), b.fromEngine))
	}
	return b, nil
}

// nodeID is the routing id of a node of the tree.
func nodeID(path string) []byte { return []byte("sub_scheduler_" + path) }

// target is an engine of a broadcast: ["uuid", id] on the wire.
type target struct {
	uuid string
	id   int
}

// appendJSON appends t in its form on the wire.
func (t target) appendJSON(b []byte) ([]byte, error) {
	uuid, err := json.Marshal(t.uuid)
	if err != nil {
		return b, err
	}
	b = append(append(append(b, '['), uuid...), ',')
	return append(strconv.AppendInt(b, int64(t.id), 10), ']'), nil
}

// appendTargets appends a list of targets.
func appendTargets(b []byte, list []target) ([]byte, error) {
	b = append(b, '[')
	for i, t := range list {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = t.appendJSON(b); err != nil {
			return b, err
		}
	}
	return append(b, ']'), nil
}

// request is a broadcast that is being sent.
type request struct {
	client     []byte
	m          wire.Message
	id         string // msg_id
	kind       string // msg_type
	meta       wire.Metadata
	byLeaf     [][]target
	headerTail []byte // the JSON of the header from `,"…` on, which follows the msg_id
	metaTail   []byte // likewise of the metadata, which follows the targets
}

func (b *Broadcast) fromClient(c *sockets.Conn, frames [][]byte) {
	r, err := b.open(c, frames)
	if err == nil {
		c.Trust()
		err = b.send(r)
	}
	if err != nil {
		b.drops.drop(c.RemoteAddr(), fmt.Errorf("broadcast: %w", err))
	}
}

// open verifies a request and prepares the parts that its copies have in common.
func (b *Broadcast) open(c *sockets.Conn, frames [][]byte) (*request, error) {
	m, err := b.o.Session.Peek(frames)
	if err != nil {
		return nil, err
	}
	r := &request{client: c.Identity(), m: m, byLeaf: make([][]target, len(b.Leaves))}
	if r.meta, err = wire.PeekMetadata(m.Metadata); err != nil {
		return nil, err
	}
	header, err := wire.PeekHeader(m.Header)
	if err != nil {
		return nil, err
	}
	r.id, r.kind = header.MsgID, header.MsgType
	if r.id == "" || len(r.meta.Targets) == 0 || len(r.meta.TargetIDs) != len(r.meta.Targets) {
		return nil, errors.New("no msg_id, or targets is not a list of [uuid, id]")
	}
	for i, uuid := range r.meta.Targets {
		t := target{uuid, r.meta.TargetIDs[i]}
		leaf := uint(t.id) % uint(len(b.Leaves))
		r.byLeaf[leaf] = append(r.byLeaf[leaf], t)
	}
	fields, err := object(b.o.Session, m.Header)
	if err != nil {
		return nil, err
	}
	if r.headerTail, err = jsonWithout(fields, "msg_id"); err != nil {
		return nil, err
	}
	if fields, err = object(b.o.Session, m.Metadata); err != nil {
		return nil, err
	}
	if r.meta.OriginalMsgID == "" {
		r.meta.OriginalMsgID = r.id
		if fields["original_msg_id"], err = json.Marshal(r.id); err != nil {
			return nil, err
		}
	}
	r.metaTail, err = jsonWithout(fields, "targets")
	return r, err
}

// jsonWithout returns the JSON of fields without one of them, from the comma on, so
// that it can follow that field.
func jsonWithout(fields map[string]json.RawMessage, without string) ([]byte, error) {
	delete(fields, without)
	if len(fields) == 0 {
		return []byte("}"), nil
	}
	text, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	text[0] = ','
	return text, nil
}

// copyFor returns the message for one engine. Its targets are that engine alone.
// IPython Parallel's leaves list all of theirs, which makes a thousand copies a
// thousand times as long, and which nobody reads.
func (b *Broadcast) copyFor(r *request, t target) (wire.Message, error) {
	m := r.m
	m.Idents = nil
	id, err := json.Marshal(r.id + "_" + t.uuid)
	if err != nil {
		return m, err
	}
	header := make([]byte, 0, len(`{"msg_id":`)+len(id)+len(r.headerTail))
	header = append(append(append(header, `{"msg_id":`...), id...), r.headerTail...)
	if m.Header, err = b.o.Session.PackJSON(header); err != nil {
		return m, err
	}
	meta, err := appendTargets([]byte(`{"targets":`), []target{t})
	if err != nil {
		return m, err
	}
	if m.Metadata, err = b.o.Session.PackJSON(append(meta, r.metaTail...)); err != nil {
		return m, err
	}
	m.Signature = b.o.Session.Signer().Sign(&m)
	return m, nil
}

// send sends the copies, and replies for engines that cannot be reached.
func (b *Broadcast) send(r *request) error {
	if r.meta.IsCoalescing {
		b.startCollecting(r)
	}
	var frames [][]byte
	for leaf, targets := range r.byLeaf {
		for _, t := range targets {
			m, err := b.copyFor(r, t)
			if err != nil {
				return err
			}
			frames = append(append(frames[:0], b.paths[leaf]...), r.client)
			frames = m.AppendFrames(frames)
			b.o.Monitor.Relayed(monitor.InBroadcast, []byte(t.uuid), r.client, frames[len(b.paths[leaf])+1:])
			err = sockets.ErrNoPeer
			if e := b.Leaves[leaf].Lookup([]byte(t.uuid)); e != nil {
				err = e.Enqueue(frames...)
			}
			if err == nil {
				continue
			}
			b.o.Log.Warn("broadcast: an engine is not reachable", "engine", t.uuid, "msg_id", r.id, "error", err)
			if err := b.refuse(r, t, m.Header); err != nil {
				return err
			}
		}
	}
	return nil
}

// refuse replies to a copy for an engine that cannot be reached.
func (b *Broadcast) refuse(r *request, t target, header []byte) error {
	kind, ok := muxReplyType(r.kind)
	if !ok {
		return nil
	}
	text := fmt.Sprintf("Engine '%s' is not connected: message '%s' was not delivered", t.uuid, r.id)
	m, err := b.engineErrorReply(kind, header, r.meta.OriginalMsgID, r.meta.IsCoalescing, t.uuid, text)
	if err != nil {
		return err
	}
	b.o.Monitor.Relayed(monitor.OutBroadcast, []byte(t.uuid), r.client, m.AppendFrames(nil))
	if r.meta.IsCoalescing {
		b.collect(collectionKey{string(r.client), r.meta.OriginalMsgID}, t.uuid, m)
		return nil
	}
	b.toClient(r.client, m)
	return nil
}

// engineErrorReply returns an EngineError reply with a broadcast's metadata.
func (b *Broadcast) engineErrorReply(kind string, parent []byte, original string, coalescing bool, engine, text string) (wire.Message, error) {
	meta := map[string]any{
		"status": "error", "engine": engine, "date": wire.FormatDate(time.Now()),
		"is_broadcast": true, "is_coalescing": coalescing, "original_msg_id": original,
	}
	return b.o.Session.Message(kind, parent, meta, wire.NewRemoteError("EngineError", text))
}

// fromEngine receives [parent … root, C, M].
func (b *Broadcast) fromEngine(e *sockets.Conn, frames [][]byte) {
	if err := b.reply(string(e.Identity()), frames); err != nil {
		b.drops.drop(e.RemoteAddr(), fmt.Errorf("broadcast: %w", err))
	}
}

func (b *Broadcast) reply(engine string, frames [][]byte) error {
	// Joined replies are signed anew, so their parts have to be genuine.
	m, err := b.o.Session.Peek(frames)
	if err != nil {
		return err
	}
	if len(m.Idents) != b.depth+1 {
		return fmt.Errorf("reply with %d routing ids, expected %d", len(m.Idents), b.depth+1)
	}
	meta, err := wire.PeekMetadata(m.Metadata)
	if err != nil {
		return err
	}
	client := m.Idents[b.depth]
	b.o.Monitor.Relayed(monitor.OutBroadcast, []byte(engine), client, frames[b.depth+1:])
	if !meta.IsCoalescing {
		b.toClient(client, m)
		return nil
	}
	if m, err = wire.Parse(sockets.Retain(frames)); err != nil {
		return err
	}
	b.collect(collectionKey{string(client), meta.OriginalMsgID}, engine, m)
	return nil
}

// toClient sends [M] unless the client has disconnected.
func (b *Broadcast) toClient(client []byte, m wire.Message) {
	c := b.Clients.Lookup(client)
	if c == nil {
		return
	}
	m.Idents = nil
	if err := c.Enqueue(m.AppendFrames(nil)...); err != nil {
		b.o.Log.Warn("reply not sent to the client", "peer", c.RemoteAddr(), "error", err)
	}
}

// object decodes a packed dictionary, but not its values.
func object(session *wire.Session, packed []byte) (map[string]json.RawMessage, error) {
	var fields map[string]json.RawMessage
	if err := session.Unpack(packed, &fields); err != nil {
		return nil, err
	}
	if fields == nil {
		fields = map[string]json.RawMessage{}
	}
	return fields, nil
}

// Close closes the sockets, writing what is queued for at most linger.
func (b *Broadcast) Close(linger time.Duration) {
	closeAll(linger, append([]*sockets.Socket{b.Clients}, b.Leaves...)...)
}
