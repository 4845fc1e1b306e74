package hub

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipcore/ipcore/core/controller/monitor"
)

// keepFrame is the size in bytes from which a frame has memory to itself that nobody
// writes again, so that it is kept instead of copied.
const keepFrame = 64 << 10

// batch is a part of the backlog that is handled at once. order has the kind of every
// event, oldest first; the event is the next one in the list of its kind.
type batch struct {
	order     []eventKind
	requests  list[clientMessage]
	relayed   list[relayedMessage]
	submitted list[submittedTask]
	assigned  list[assignedTask]
	answered  list[answeredTask]
	engines   list[engineEvent]

	frames       [][]byte // of messages whose frames are not their own
	bytes        int64
	dropped      int
	droppedBytes int64
}

// list is the events of one kind. It is read once, from its beginning.
type list[T any] struct {
	items []T
	read  int
}

func (l *list[T]) add(item T) { l.items = append(l.items, item) }

// next returns the first event that has not been read.
func (l *list[T]) next() *T {
	l.read++
	return &l.items[l.read-1]
}

func (l *list[T]) reset() {
	clear(l.items)
	l.items, l.read = l.items[:0], 0
}

// reset empties a batch and keeps its memory.
func (b *batch) reset() {
	b.requests.reset()
	b.relayed.reset()
	b.submitted.reset()
	b.assigned.reset()
	b.answered.reset()
	b.engines.reset()
	clear(b.frames)
	b.order, b.frames = b.order[:0], b.frames[:0]
	b.bytes, b.dropped, b.droppedBytes = 0, 0, 0
}

// maxRecycled bounds the length of lists that are kept for the next batch.
const maxRecycled = 1 << 14

// backlog holds the events that wait for the hub's goroutine. Beyond limit bytes
// messages are dropped and counted; output of engines may use half of that.
type backlog struct {
	limit int64
	own   bool          // the frames of requests and replies are their own, so that they can be kept
	wake  chan struct{} // holds a token when the hub has something to do

	level atomic.Int64 // bytes of current; changed under mu

	mu      sync.Mutex
	current *batch
	spare   *batch
	closed  bool        // new events are dropped
	later   *time.Timer // wakes the hub for events that may wait
	waits   bool        // later has been set since the last swap
}

const (
	// recordDelay is how long a relayed message may wait before the hub is woken for
	// it: waking the hub for each message costs more. Nobody can see the delay, because
	// questions come after the message in the backlog.
	recordDelay = 2 * time.Millisecond
	// maxDelayed is how many events may wait.
	maxDelayed = 512
)

func newBacklog(limit int64) *backlog {
	b := &backlog{limit: limit, wake: make(chan struct{}, 1)}
	b.later = time.AfterFunc(time.Hour, b.signal)
	return b
}

// close drops all events, those that wait and those that come.
func (b *backlog) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.later.Stop()
	b.current, b.spare = nil, nil
}

// swap takes all events that wait; nil means that there are none.
func (b *backlog) swap() *batch {
	b.mu.Lock()
	defer b.mu.Unlock()
	full := b.current
	if full == nil || len(full.order) == 0 && full.dropped == 0 {
		return nil
	}
	b.current, b.spare, b.waits = b.spare, nil, false
	b.level.Store(0)
	return full
}

// recycle takes back a batch that has been handled.
func (b *backlog) recycle(used *batch) {
	if cap(used.order) > maxRecycled || cap(used.frames) > 8*maxRecycled {
		return
	}
	used.reset()
	b.mu.Lock()
	if b.spare == nil {
		b.spare = used
	}
	b.mu.Unlock()
}

// eventSize is how many bytes an event counts for in addition to its message.
const eventSize = 256

// gathering returns the batch that takes new events; mu is held.
func (b *backlog) gathering() *batch {
	if b.current == nil {
		b.current = &batch{}
	}
	return b.current
}

// entry counts a new event and returns the batch to add it to; mu is held.
func (b *backlog) entry(kind eventKind, size int64) *batch {
	t := b.gathering()
	t.bytes += size
	b.level.Store(t.bytes)
	t.order = append(t.order, kind)
	return t
}

// addEngine adds an event of an engine. It is never dropped for lack of space.
func (b *backlog) addEngine(n engineEvent) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	b.entry(eventEngine, eventSize).engines.add(n)
	b.signal()
}

// addRequest adds a copy of a client's message.
func (b *backlog) addRequest(peer []byte, address string, frames [][]byte) {
	c, ok := b.copyOf(peer, frames, b.limit)
	if !ok {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	t := b.entry(eventRequest, c.size)
	t.requests.add(clientMessage{peer: c.peer, address: address, frames: c.into(t, frames)})
	b.signal()
}

// addRelayed adds a copy of a relayed message, unless more than limit bytes would wait.
func (b *backlog) addRelayed(topic monitor.Topic, engine []byte, frames [][]byte, limit int64) {
	c, ok := b.copyOf(engine, frames, limit)
	if !ok {
		return
	}
	var owned [][]byte
	if b.own && topic != monitor.IOPub {
		owned = c.appendTo(make([][]byte, 0, len(frames)), frames)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	t := b.entry(eventRelayed, c.size)
	if owned == nil {
		owned = c.into(t, frames)
	}
	t.relayed.add(relayedMessage{topic: topic, engine: c.peer, frames: owned})
	b.signalLater()
}

// addSubmitted adds a task's request, and keeps its frames as they are.
func (b *backlog) addSubmitted(s monitor.Submission, frames [][]byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t := b.entryWithin(eventSubmitted, eventSize+sizeOf(frames)); t != nil {
		t.submitted.add(submittedTask{s, frames})
		b.signalLater()
	}
}

// addAssigned adds the assignment of a task.
func (b *backlog) addAssigned(id, engine string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t := b.entryWithin(eventAssigned, eventSize); t != nil {
		t.assigned.add(assignedTask{id, engine})
		b.signalLater()
	}
}

// addAnswered adds the reply to a task, and keeps its frames as they are.
func (b *backlog) addAnswered(a monitor.Answer, frames [][]byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t := b.entryWithin(eventAnswered, eventSize+sizeOf(frames)); t != nil {
		t.answered.add(answeredTask{a, frames})
		b.signalLater()
	}
}

// entryWithin is entry for an event that is dropped when the backlog is closed or
// full; then it returns nil. mu is held.
func (b *backlog) entryWithin(kind eventKind, size int64) *batch {
	if b.closed || b.refuses(size, b.limit) {
		return nil
	}
	return b.entry(kind, size)
}

// messageCopy is the memory of a message that was copied before the lock was taken:
// the peer's routing id and all frames below keepFrame, one behind the other.
type messageCopy struct {
	peer []byte
	rest []byte // of the frames
	size int64  // bytes that the event counts for
}

// copyOf copies the parts of a message that are borrowed. ok is false when there is
// no space for it; then copyOf has counted it as dropped.
func (b *backlog) copyOf(peer []byte, frames [][]byte, limit int64) (c messageCopy, ok bool) {
	small := len(peer)
	c.size = int64(len(peer)) + eventSize
	for _, f := range frames {
		c.size += int64(len(f))
		if len(f) < keepFrame {
			small += len(f)
		}
	}
	if b.full(c.size, limit) {
		return c, false
	}
	chunk := make([]byte, 0, small)
	chunk = append(chunk, peer...)
	for _, f := range frames {
		if len(f) < keepFrame {
			chunk = append(chunk, f...)
		}
	}
	c.peer, c.rest = chunk[:len(peer):len(peer)], chunk[len(peer):]
	return c, true
}

// appendTo appends the frames of the copy to a list.
func (c *messageCopy) appendTo(list, frames [][]byte) [][]byte {
	for _, f := range frames {
		if len(f) < keepFrame {
			f, c.rest = c.rest[:len(f):len(f)], c.rest[len(f):]
		}
		list = append(list, f)
	}
	return list
}

// into puts the frames of the copy into the list that t has for all its messages, and
// returns them: they are valid until t is recycled.
func (c *messageCopy) into(t *batch, frames [][]byte) [][]byte {
	first := len(t.frames)
	t.frames = c.appendTo(t.frames, frames)
	return t.frames[first:len(t.frames):len(t.frames)]
}

// sizeOf returns how many bytes frames have.
func sizeOf(frames [][]byte) (n int64) {
	for _, f := range frames {
		n += int64(len(f))
	}
	return n
}

// full reports whether there is no space for size more bytes, and then counts them as
// dropped.
func (b *backlog) full(size, limit int64) bool {
	if b.level.Load()+size <= limit {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.closed || b.refuses(size, limit)
}

// refuses is full for a backlog that is not closed; mu is held.
func (b *backlog) refuses(size, limit int64) bool {
	t := b.gathering()
	if t.bytes == 0 || t.bytes+size <= limit {
		return false
	}
	t.dropped++
	t.droppedBytes += size
	return true
}

// signalLater is signal for an event that may wait; mu is held.
func (b *backlog) signalLater() {
	switch {
	case len(b.current.order) == maxDelayed:
		b.signal()
	case !b.waits:
		b.waits = true
		b.later.Reset(recordDelay)
	}
}

// signal wakes the hub.
func (b *backlog) signal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}
