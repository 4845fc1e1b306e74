// Package lograte limits how many log lines are written for events of one kind: a
// peer that can cause one event can cause any number of them.
package lograte

import (
	"sync"
	"time"
)

// Interval is the time in which Events.Burst lines of a kind are written.
const Interval = time.Minute

// maxKinds bounds the kinds that are remembered. When there are more, all are
// forgotten.
const maxKinds = 1024

// Events counts events by kind. The zero value is ready for use; its methods are
// safe for concurrent use.
type Events[K comparable] struct {
	Burst int // lines of a kind in an Interval; 0 is 1

	mu    sync.Mutex
	kinds map[K]*count
}

type count struct {
	began      time.Time // of the interval
	lines      int       // written in it
	suppressed int       // events without a line
}

// Log counts an event of a kind and reports whether to write a line about it. The
// first events of an interval, up to Burst, have a line. n is how many events there
// have been since the last line, this one included.
func (e *Events[K]) Log(kind K) (n int, ok bool) { return e.at(kind, time.Now()) }

func (e *Events[K]) at(kind K, now time.Time) (n int, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.kinds[kind]
	if c == nil {
		if e.kinds == nil || len(e.kinds) >= maxKinds {
			e.kinds = make(map[K]*count)
		}
		c = &count{began: now}
		e.kinds[kind] = c
	}
	if now.Sub(c.began) >= Interval {
		c.began, c.lines = now, 0
	}
	n = c.suppressed + 1
	if c.lines >= max(e.Burst, 1) {
		c.suppressed = n
		return n, false
	}
	c.lines, c.suppressed = c.lines+1, 0
	return n, true
}
