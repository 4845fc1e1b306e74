package scheduler

import "sync"

// inbox is what waits for the machine: messages, and engines' comings and
// goings. They are taken together, so that each message is seen with what its
// sender knew to have happened before.
type inbox struct {
	wake chan struct{} // holds a token when Run is to look

	mu     sync.Mutex
	events []event
	news   []engineEvent
	closed bool
}

// event is a message for the machine: one of the two.
type event struct {
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
func (b *inbox) put(ev event) (n int, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, false
	}
	b.events = append(b.events, ev)
	return len(b.events), true
}

// tell adds news of an engine.
func (b *inbox) tell(e engineEvent) {
	b.mu.Lock()
	b.news = append(b.news, e)
	b.mu.Unlock()
	b.stir()
}

// stir has Run look at what waits.
func (b *inbox) stir() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// empty tells whether nothing waits.
func (b *inbox) empty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.events) == 0 && len(b.news) == 0
}

// take takes all that waits; room is used for what comes next.
func (b *inbox) take(room []event) ([]event, []engineEvent) {
	b.mu.Lock()
	defer b.mu.Unlock()
	events, news := b.events, b.news
	b.events, b.news = room, nil
	return events, news
}

func (b *inbox) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
}
