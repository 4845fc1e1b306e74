package scheduler

import "sync"

// inbox is what waits for the machine: messages, and engines' comings and
// goings. They are taken together, so that each message is seen with what its
// sender knew to have happened before.
type inbox struct {
	wakeup chan struct{} // holds a token when Run is to look

	mu       sync.Mutex
	messages []message
	engines  []engineEvent
	closed   bool
}

// event is a message for the machine: one of the two.
type message struct {
	task  *task
	reply *reply
}

type engineEvent struct {
	uuid string
	what change
}

type change uint8

const (
	up change = iota
	back
	down
)

// put adds a message and answers how many wait; ok is false when nobody will
// take it any more.
func (b *inbox) put(ev message) (n int, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, false
	}
	b.messages = append(b.messages, ev)
	return len(b.messages), true
}

// tell adds news of an engine.
func (b *inbox) putEngine(e engineEvent) {
	b.mu.Lock()
	b.engines = append(b.engines, e)
	b.mu.Unlock()
	b.wake()
}

// stir has Run look at what waits.
func (b *inbox) wake() {
	select {
	case b.wakeup <- struct{}{}:
	default:
	}
}

// empty tells whether nothing waits.
func (b *inbox) empty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.messages) == 0 && len(b.engines) == 0
}

// take takes all that waits; room is used for what comes next.
func (b *inbox) take(room []message) ([]message, []engineEvent) {
	b.mu.Lock()
	defer b.mu.Unlock()
	events, news := b.messages, b.engines
	b.messages, b.engines = room, nil
	return events, news
}

func (b *inbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
}
