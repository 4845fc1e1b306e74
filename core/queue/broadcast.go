package queue

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ipcore/ipcore/core/sockets"
	"github.com/ipcore/ipcore/core/wire"
)

// MaxBroadcastDepth bounds the leaves to 256.
const MaxBroadcastDepth = 8

// Broadcast sends one client's request to many engines. Upstream has a tree of
// processes for it; peers see the tree's leaves, its routing ids and its
// rewriting of messages, so these are kept, and one process does the work.
type Broadcast struct {
	Clients *sockets.Socket   // ROUTER; to be listened on by the owner
	Leaves  []*sockets.Socket // ROUTER; likewise; engine id i uses leaf i mod len

	o     Options
	depth int
	paths [][][]byte // for each leaf, routing ids from its parent to the root
	bad   complaints
	gatherings
}

// LeafOptions are called with the leaf besides.
type LeafOptions struct {
	Connected    func(leaf int, uuid string)
	Disconnected func(leaf int, uuid string)
}

// NewBroadcast makes the queue with 2^depth leaves.
func NewBroadcast(depth int, leaf LeafOptions, o Options) (*Broadcast, error) {
	if depth < 0 || depth > MaxBroadcastDepth {
		return nil, fmt.Errorf("broadcast depth %d: it must be between 0 and %d", depth, MaxBroadcastDepth)
	}
	b := &Broadcast{o: o, depth: depth, bad: complaints{log: o.Log}}
	b.waiting = map[gatherKey]*gathering{}
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

func (t target) MarshalJSON() ([]byte, error) { return json.Marshal([]any{t.uuid, t.id}) }

// request is a broadcast that is being sent.
type request struct {
	client    []byte
	m         wire.Message
	id        string // msg_id
	kind      string // msg_type
	meta      wire.Metadata
	byLeaf    [][]target
	headTail  []byte // the packed header after `{"msg_id": …`
	leafMetas [][]byte
}

func (b *Broadcast) fromClient(c *sockets.Conn, frames [][]byte) {
	r, err := b.open(c, frames)
	if err == nil {
		err = b.send(r)
	}
	if err != nil {
		b.bad.drop(c.RemoteAddr(), fmt.Errorf("broadcast: %w", err))
	}
}

// open verifies a request and prepares what its copies have in common.
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
		return nil, errors.New("no msg_id, or targets that are not a list of [uuid, id]")
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
	delete(fields, "msg_id")
	if r.headTail, err = json.Marshal(fields); err != nil {
		return nil, err
	}
	return r, r.packMetadata(b.o.Session)
}

// packMetadata packs what the engines of each leaf get.
func (r *request) packMetadata(session *wire.Session) error {
	fields, err := object(session, r.m.Metadata)
	if err != nil {
		return err
	}
	if r.meta.OriginalMsgID == "" {
		r.meta.OriginalMsgID = r.id
		if fields["original_msg_id"], err = json.Marshal(r.id); err != nil {
			return err
		}
	}
	for _, targets := range r.byLeaf {
		if fields["targets"], err = json.Marshal(targets); err != nil {
			return err
		}
		packed, err := pack(session, fields)
		if err != nil {
			return err
		}
		r.leafMetas = append(r.leafMetas, packed)
	}
	return nil
}

// copyFor answers the message for one engine.
func (b *Broadcast) copyFor(r *request, leaf int, t target) (wire.Message, error) {
	m := r.m
	m.Idents = nil
	id, err := json.Marshal(r.id + "_" + t.uuid)
	if err != nil {
		return m, err
	}
	header := append([]byte(`{"msg_id":`), id...)
	if len(r.headTail) > 2 {
		header = append(header, ',')
	}
	if m.Header, err = b.o.Session.PackJSON(append(header, r.headTail[1:]...)); err != nil {
		return m, err
	}
	m.Metadata = r.leafMetas[leaf]
	m.Signature = b.o.Session.Signer().Sign(&m)
	return m, nil
}

// send sends the copies, and answers for engines that can't be sent to.
func (b *Broadcast) send(r *request) error {
	if r.meta.IsCoalescing {
		b.begin(r)
	}
	var frames [][]byte
	for leaf, targets := range r.byLeaf {
		for _, t := range targets {
			m, err := b.copyFor(r, leaf, t)
			if err != nil {
				return err
			}
			frames = append(append(frames[:0], b.paths[leaf]...), r.client)
			frames = m.AppendFrames(frames)
			err = sockets.ErrNoPeer
			if e := b.Leaves[leaf].Lookup([]byte(t.uuid)); e != nil {
				err = e.Enqueue(frames...)
			}
			if err == nil {
				continue
			}
			b.o.Log.Warn("broadcast: an engine can't be sent to", "engine", t.uuid, "msg_id", r.id, "error", err)
			if err := b.refuse(r, t, m.Header); err != nil {
				return err
			}
		}
	}
	return nil
}

// refuse answers a copy in the stead of its engine.
func (b *Broadcast) refuse(r *request, t target, header []byte) error {
	kind, ok := muxAnswer(r.kind)
	if !ok {
		return nil
	}
	text := fmt.Sprintf("Engine '%s' is not connected: message '%s' was not delivered", t.uuid, r.id)
	m, err := b.deathNotice(kind, header, r.meta.OriginalMsgID, r.meta.IsCoalescing, t.uuid, text)
	if err != nil {
		return err
	}
	if r.meta.IsCoalescing {
		b.collect(gatherKey{string(r.client), r.meta.OriginalMsgID}, t.uuid, m)
		return nil
	}
	b.toClient(r.client, m)
	return nil
}

// deathNotice is an EngineError reply with a broadcast's metadata.
func (b *Broadcast) deathNotice(kind string, parent []byte, original string, coalescing bool, engine, text string) (wire.Message, error) {
	meta := map[string]any{
		"status": "error", "engine": engine, "date": wire.FormatDate(time.Now()),
		"is_broadcast": true, "is_coalescing": coalescing, "original_msg_id": original,
	}
	return b.o.Session.Message(kind, parent, meta, wire.NewRemoteError("EngineError", text))
}

// fromEngine takes [parent … root, C, M].
func (b *Broadcast) fromEngine(e *sockets.Conn, frames [][]byte) {
	if err := b.reply(string(e.Identity()), frames); err != nil {
		b.bad.drop(e.RemoteAddr(), fmt.Errorf("broadcast: %w", err))
	}
}

func (b *Broadcast) reply(engine string, frames [][]byte) error {
	// What is put together is signed anew, so it has to be genuine.
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
	if !meta.IsCoalescing {
		b.toClient(client, m)
		return nil
	}
	if m, err = wire.Parse(sockets.Own(frames)); err != nil {
		return err
	}
	b.collect(gatherKey{string(client), meta.OriginalMsgID}, engine, m)
	return nil
}

// toClient sends [M]. A client that has left gets nothing.
func (b *Broadcast) toClient(client []byte, m wire.Message) {
	c := b.Clients.Lookup(client)
	if c == nil {
		return
	}
	m.Idents = nil
	if err := c.Enqueue(m.AppendFrames(nil)...); err != nil {
		b.o.Log.Warn("reply lost: the client does not take it", "peer", c.RemoteAddr(), "error", err)
	}
}

// object decodes a packed dict without its values.
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

// pack packs a dict of JSON values.
func pack(session *wire.Session, fields map[string]json.RawMessage) ([]byte, error) {
	text, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	return session.PackJSON(text)
}

// Close closes the sockets, writing what is queued for at most linger.
func (b *Broadcast) Close(linger time.Duration) {
	closeAll(linger, append([]*sockets.Socket{b.Clients}, b.Leaves...)...)
}
