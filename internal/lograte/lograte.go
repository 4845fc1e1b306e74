// Package lograte decides which of many events of a kind are worth a log line:
// whoever can cause one can cause any number of them.
package lograte

import (
	"sync"
	"time"
)

// Interval is the least time between two lines of a kind.
const Interval = time.Minute

// maxKinds bounds the kinds that are remembered. When there are more, all are
// forgotten.
const maxKinds = 1024

// Events are counted kind by kind. The zero value is ready; it may be used by many
// goroutines.
type Events[K comparable] struct {
	mu    sync.Mutex
	kinds map[K]*count
}

type count struct {
	next  time.Time // when another line may be written
	since int       // events without one
}

// Log counts an event of a kind and reports whether to write a line about it, and
// how many there were since the last one, itself included. The first has a line.
func (e *Events[K]) Log(kind K) (n int, ok bool) { return e.at(kind, time.Now()) }

func (e *Events[K]) at(kind K, now time.Time) (n int, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.kinds[kind]
	if c == nil {
		if e.kinds == nil || len(e.kinds) >= maxKinds {
			e.kinds = make(map[K]*count)
		}
		c = &count{}
		e.kinds[kind] = c
	}
	c.since++
	if now.Before(c.next) {
		return 0, false
	}
	n = c.since
	c.next, c.since = now.Add(Interval), 0
	return n, true
}
