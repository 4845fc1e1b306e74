package scheduler

import "sync"

// inbox holds what waits for the machine: messages, and changes of engines. They
// are taken together, so that each message is handled after the changes that its
// sender knew of.
type inbox struct {
	wakeup chan struct{} // holds a token when Run is to look at the inbox

	mu       sync.Mutex
	messages []message
	changes  []engineChange
	closed   bool
}

// message is a task or a reply; the other one is nil.
type message struct {
	task  *task
	reply *reply
}

type engineChange struct {
	uuid   string
	change change
}

type change uint8

const (
	up change = iota
	back
	down
)

// put adds a message and returns how many wait; ok is false when the scheduler has
// ended.
func (b *inbox) put(m message) (n int, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, false
	}
	b.messages = append(b.messages, m)
	return len(b.messages), true
}

// putChange adds a change of an engine.
func (b *inbox) putChange(c engineChange) {
	b.mu.Lock()
	b.changes = append(b.changes, c)
	b.mu.Unlock()
	b.wake()
}

// wake makes Run look at the inbox.
func (b *inbox) wake() {
	select {
	case b.wakeup <- struct{}{}:
	default:
	}
}

// empty reports whether nothing waits.
func (b *inbox) empty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.messages) == 0 && len(b.changes) == 0
}

// take takes everything that waits. The memory of spare is used for the next
// messages.
func (b *inbox) take(spare []message) ([]message, []engineChange) {
	b.mu.Lock()
	defer b.mu.Unlock()
	messages, changes := b.messages, b.changes
	b.messages, b.changes = spare, nil
	return messages, changes
}

func (b *inbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
}
