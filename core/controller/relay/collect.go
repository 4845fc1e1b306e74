package relay

import (
	"encoding/json"
	"fmt"
	"sync"

	"github.com/ipcore/ipcore/core/sockets"
	"github.com/ipcore/ipcore/core/wire"
)

// collections are the coalescing broadcasts that wait for replies.
type collections struct {
	mu      sync.Mutex
	waiting map[collectionKey]*collection
}

type collectionKey struct{ client, original string }

// collection is the replies to one broadcast.
type collection struct {
	key     collectionKey
	kind    string   // msg_type of the request
	header  []byte   // its packed header
	targets []target // in the order of the reply's buffers
	replies []wire.Message
	missing map[string]int // engines that have not replied, and their index in replies
	base    int            // index of the reply whose content is sent to the client
	failed  bool           // the reply at base is an error
}

// startCollecting begins to wait for the replies to r.
func (b *Broadcast) startCollecting(r *request) {
	g := &collection{
		key: collectionKey{string(r.client), r.meta.OriginalMsgID}, kind: r.kind,
		header: append([]byte(nil), r.m.Header...), missing: map[string]int{},
	}
	for _, targets := range r.byLeaf {
		for _, t := range targets {
			if _, twice := g.missing[t.uuid]; !twice {
				g.missing[t.uuid] = len(g.targets)
				g.targets = append(g.targets, t)
			}
		}
	}
	g.replies = make([]wire.Message, len(g.targets))
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waiting[g.key] = g
}

// collect takes one engine's reply, which belongs to it from here on, and replies
// to the client when it was the last one.
func (b *Broadcast) collect(key collectionKey, engine string, m wire.Message) {
	b.mu.Lock()
	g := b.waiting[key]
	done := g != nil && g.add(engine, m)
	if done {
		delete(b.waiting, key)
	}
	b.mu.Unlock()
	if !done {
		return
	}
	reply, err := b.join(g)
	if err != nil {
		b.o.Log.Error("broadcast: replies not joined, the client gets no reply", "msg_id", key.original, "error", err)
		return
	}
	b.toClient([]byte(key.client), reply)
}

// add reports whether this was the last reply. IPython Parallel sends the content
// of the last one, so that errors before it are lost; here the first error decides.
func (g *collection) add(engine string, m wire.Message) (last bool) {
	i, expected := g.missing[engine]
	if !expected {
		return false
	}
	delete(g.missing, engine)
	g.replies[i] = m
	if !g.failed {
		meta, err := wire.PeekMetadata(m.Metadata)
		g.base, g.failed = i, err != nil || meta.Status != "" && meta.Status != "ok"
	}
	return len(g.missing) == 0
}

// join returns one reply made of all.
func (b *Broadcast) join(g *collection) (wire.Message, error) {
	m := g.replies[g.base]
	fields, err := object(b.o.Session, m.Metadata)
	if err != nil {
		return m, err
	}
	fields["is_broadcast"], fields["is_coalescing"] = json.RawMessage("true"), json.RawMessage("true")
	if fields["original_msg_id"], err = json.Marshal(g.key.original); err != nil {
		return m, err
	}
	meta, err := appendTargets([]byte(`{"broadcast_targets":`), g.targets)
	if err != nil {
		return m, err
	}
	rest, err := jsonWithout(fields, "broadcast_targets")
	if err != nil {
		return m, err
	}
	if m.Metadata, err = b.o.Session.PackJSON(append(meta, rest...)); err != nil {
		return m, err
	}
	m.Buffers = make([][]byte, 0, len(g.replies))
	for _, r := range g.replies {
		m.Buffers = append(m.Buffers, r.Buffers...)
	}
	m.Signature = b.o.Session.Signer().Sign(&m)
	return m, nil
}

// EngineDown replies for a lost engine to the coalescing broadcasts that wait for
// it. Clients detect by themselves that other broadcasts get no reply.
func (b *Broadcast) EngineDown(uuid string) {
	var stranded []*collection
	b.mu.Lock()
	for _, g := range b.waiting {
		if _, waits := g.missing[uuid]; waits {
			stranded = append(stranded, g)
		}
	}
	b.mu.Unlock()
	for _, g := range stranded {
		kind, ok := muxReplyType(g.kind)
		if !ok {
			kind = "apply_reply"
		}
		text := fmt.Sprintf("Engine b'%s' died while running task '%s'", uuid, g.key.original)
		m, err := b.engineErrorReply(kind, g.header, g.key.original, true, uuid, text)
		if err != nil {
			b.o.Log.Error("broadcast: error reply for a lost engine not packed", "msg_id", g.key.original, "error", err)
			continue
		}
		b.collect(g.key, uuid, m)
	}
	sockets.FlushAll()
}

// dropClient forgets the broadcasts of a client that has disconnected.
func (b *Broadcast) dropClient(id []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for key := range b.waiting {
		if key.client == string(id) {
			delete(b.waiting, key)
		}
	}
}
