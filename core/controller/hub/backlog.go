package hub

import (
	"bytes"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipcore/ipcore/core/wire"
)

// Topic says where a relayed message was seen.
type Topic uint8

// The topics. Requests pass towards engines ("in"), replies towards clients
// ("out").
const (
	In      Topic = iota // a direct request
	Out                  // its reply
	InTask               // a load-balanced request
	OutTask              // its reply, from the engine or from the scheduler
	InControl
	OutControl
	InBroadcast  // one engine's copy of a broadcast
	OutBroadcast // its reply
	IOPub        // output of an engine
)

// keepFrame is the size from which a frame has memory of its own that nobody
// writes again, so that it is kept rather than copied.
const keepFrame = 64 << 10

type eventKind uint8

const (
	eventMonitor eventKind = iota
	eventRequest
	eventAssigned
	eventReady
	eventLost
)

// event is one entry of the backlog. Its frames are owned, or a part of the
// batch's.
type event struct {
	kind        eventKind
	topic       Topic
	read        bool      // texts are what the scheduler has read of the message
	owned       [][]byte  // frames of the message, from the delimiter on
	first, last int       // else where they are in the batch
	peer        []byte    // engine of a monitored message, or sender of a request
	texts       [4]string // what goes with the kind
	batch       *batch
}

func (e *event) frames() [][]byte {
	if e.owned != nil {
		return e.owned
	}
	return e.batch.frames[e.first:e.last]
}

// batch is a part of the backlog that is handled at once.
type batch struct {
	events       []event
	frames       [][]byte
	bytes        int64
	dropped      int
	droppedBytes int64
}

// maxRecycled bounds the length of lists that are kept for the next batch.
const maxRecycled = 1 << 14

// backlog is what waits for the hub's goroutine. Beyond limit bytes messages
// are dropped and counted; output of engines has half of that.
type backlog struct {
	limit int64
	own   bool          // requests and replies own their frames: they are kept
	wake  chan struct{} // one token when there is something

	level atomic.Int64 // bytes of current; changed under mu

	mu      sync.Mutex
	current *batch
	spare   *batch
	closed  bool        // what comes is dropped
	later   *time.Timer // signals when what can wait has waited
	waits   bool        // later has been set since the last swap
}

const (
	// canWait is for how long what was relayed may lie before it is written
	// into the books: waking the hub for each message costs more than that.
	// Nobody can see it: what is asked comes after it in the backlog.
	canWait = 2 * time.Millisecond
	// waitsMost is how many events may lie.
	waitsMost = 512
)

func newBacklog(limit int64) *backlog {
	b := &backlog{limit: limit, wake: make(chan struct{}, 1)}
	b.later = time.AfterFunc(time.Hour, b.signal)
	return b
}

// close drops what has gathered and all that will come.
func (b *backlog) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.later.Stop()
	b.current, b.spare = nil, nil
}

// swap takes what has gathered; nil is nothing.
func (b *backlog) swap() *batch {
	b.mu.Lock()
	defer b.mu.Unlock()
	full := b.current
	if full == nil || len(full.events) == 0 && full.dropped == 0 {
		return nil
	}
	b.current, b.spare, b.waits = b.spare, nil, false
	b.level.Store(0)
	return full
}

// recycle hands an emptied batch back.
func (b *backlog) recycle(used *batch) {
	if cap(used.events) > maxRecycled || cap(used.frames) > 8*maxRecycled {
		return
	}
	clear(used.events)
	clear(used.frames)
	*used = batch{events: used.events[:0], frames: used.frames[:0]}
	b.mu.Lock()
	if b.spare == nil {
		b.spare = used
	}
	b.mu.Unlock()
}

// eventSize is what an event without a message counts in a backlog.
const eventSize = 256

// add appends an event that carries no message. There is always room for it.
func (b *backlog) add(e event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	t := b.batch()
	t.bytes += eventSize
	b.level.Store(t.bytes)
	t.events = append(t.events, e)
	b.signal()
}

// batch answers the batch that is gathering; mu is held.
func (b *backlog) batch() *batch {
	if b.current == nil {
		b.current = &batch{}
	}
	return b.current
}

// addMessage appends an event with a copy of what it keeps of frames.
func (b *backlog) addMessage(e event, peer []byte, frames [][]byte, limit int64) {
	size := int64(len(peer)) + eventSize
	small := len(peer)
	for _, f := range frames {
		size += int64(len(f))
		if len(f) < keepFrame {
			small += len(f)
		}
	}
	// The copy is made before the lock is taken, unless there is no room.
	if b.full(size, limit) {
		return
	}
	chunk := make([]byte, 0, small)
	chunk = append(chunk, peer...)
	e.peer = chunk[:len(peer):len(peer)]
	for _, f := range frames {
		if len(f) < keepFrame {
			chunk = append(chunk, f...)
		}
	}
	rest := chunk[len(peer):]
	if b.own && e.kind == eventMonitor && e.topic != IOPub {
		e.owned = make([][]byte, len(frames))
		for i, f := range frames {
			if len(f) < keepFrame {
				f, rest = rest[:len(f):len(f)], rest[len(f):]
			}
			e.owned[i] = f
		}
		frames = nil
	}

	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	t := b.batch()
	t.bytes += size
	b.level.Store(t.bytes)
	e.first = len(t.frames)
	for _, f := range frames {
		if len(f) < keepFrame {
			f, rest = rest[:len(f):len(f)], rest[len(f):]
		}
		t.frames = append(t.frames, f)
	}
	e.last = len(t.frames)
	e.batch = t
	t.events = append(t.events, e)
	if e.kind == eventRequest {
		b.signal()
	} else {
		b.signalLater()
	}
}

// addOwned appends an event that keeps its frames as they are.
func (b *backlog) addOwned(e event) {
	size := eventSize + sizeOf(e.owned)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.refuses(size, b.limit) {
		return
	}
	t := b.batch()
	t.bytes += size
	b.level.Store(t.bytes)
	t.events = append(t.events, e)
	b.signalLater()
}

// sizeOf answers how many bytes frames have.
func sizeOf(frames [][]byte) (n int64) {
	for _, f := range frames {
		n += int64(len(f))
	}
	return n
}

// full tells whether size bytes are too many, and counts them as dropped then.
func (b *backlog) full(size, limit int64) bool {
	if b.level.Load()+size <= limit {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed || b.refuses(size, limit)
}

// refuses is full of a backlog that is not closed; mu is held.
func (b *backlog) refuses(size, limit int64) bool {
	t := b.batch()
	if t.bytes == 0 || t.bytes+size <= limit {
		return false
	}
	t.dropped++
	t.droppedBytes += size
	return true
}

// signalLater is signal for an event that can wait; mu is held.
func (b *backlog) signalLater() {
	switch {
	case len(b.current.events) == waitsMost:
		b.signal()
	case !b.waits:
		b.waits = true
		b.later.Reset(canWait)
	}
}

func (b *backlog) signal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// Request is a message from the query socket: its sender, its address for the
// log, and its frames after the sender's identity. The frames are borrowed.
func (h *Hub) Request(peer []byte, remote string, frames [][]byte) {
	h.backlog.addMessage(event{kind: eventRequest, texts: [4]string{remote}}, peer, frames, h.backlog.limit)
}

// Monitor is a message that a queue relays: the engine it goes to or comes
// from (none where there is none yet), the client, and its frames from the
// delimiter on. Call it before the message is passed on, so that a request is
// in the books before its reply, and only with messages whose signature is
// checked. The frames are borrowed; those of at least 64 KiB are kept and must
// not be written again.
func (h *Hub) Monitor(topic Topic, engine, _ []byte, msg [][]byte) {
	limit := h.backlog.limit
	switch topic {
	case In, Out, InTask, OutTask, InBroadcast, OutBroadcast:
	case IOPub:
		if isStatus(msg) {
			return
		}
		limit /= 2
	default:
		return // no books are kept of these
	}
	h.backlog.addMessage(event{kind: eventMonitor, topic: topic}, engine, msg, limit)
}

// Submission is what has been read of a request. The strings may be views of
// its frames.
type Submission struct {
	ID      string
	Session string
	Date    string
	Label   string
}

// Answer is what has been read of a reply, but for its own header. The strings
// may be views of frames that nobody writes again.
type Answer struct {
	ID      string // of the request
	Status  string
	Engine  string // uuid
	Started string // a date
}

// Submitted is Monitor for a request of the task scheduler's, with frames that
// nobody writes again: they are kept as they are.
func (h *Hub) Submitted(msg [][]byte, s Submission) {
	h.backlog.addOwned(event{kind: eventMonitor, topic: InTask, read: true, owned: msg, texts: [4]string{s.ID, s.Session, s.Date, s.Label}})
}

// Answered is Submitted for a reply.
func (h *Hub) Answered(msg [][]byte, a Answer) {
	h.backlog.addOwned(event{kind: eventMonitor, topic: OutTask, read: true, owned: msg, texts: [4]string{a.ID, a.Status, a.Engine, a.Started}})
}

var statusTypes = [][]byte{[]byte(`"msg_type": "status"`), []byte(`"msg_type":"status"`)}

// isStatus recognises most of the busy and idle messages, half of all output,
// by their header's text. Those that it misses are recognised later.
func isStatus(msg [][]byte) bool {
	const header = 2
	if len(msg) <= header || string(msg[0]) != wire.Delimiter {
		return false
	}
	return bytes.Contains(msg[header], statusTypes[0]) || bytes.Contains(msg[header], statusTypes[1])
}

// Assigned says that the scheduler sends a task to an engine.
func (h *Hub) Assigned(msgID, engineUUID string) {
	h.backlog.addOwned(event{kind: eventAssigned, texts: [4]string{msgID, engineUUID}})
}

// Ready says that a registering engine can be reached: all its sockets are
// connected, and a ping was answered.
func (h *Hub) Ready(uuid string) {
	h.backlog.add(event{kind: eventReady, texts: [4]string{uuid}})
}

// Lost says that an engine is gone.
func (h *Hub) Lost(uuid, cause string) {
	h.backlog.add(event{kind: eventLost, texts: [4]string{uuid, cause}})
}
