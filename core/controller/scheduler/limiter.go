package scheduler

import "sync"

// byteLimiter bounds the bytes of tasks that have not ended. A client whose task
// has to wait is not read any further, so the network holds it back. The tasks that
// it sent before continue and free memory, because tasks depend only on earlier
// ones.
type byteLimiter struct {
	limit    int64
	mu       sync.Mutex
	held     int64
	disabled bool
	changed  sync.Cond
}

// tryAcquire is acquire for a caller that must not wait. It returns false if the
// limit is reached.
func (l *byteLimiter) tryAcquire(n int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held >= l.limit && !l.disabled {
		return false
	}
	l.held += n
	return true
}

// acquire waits while the bytes held reach the limit, which one task may exceed.
func (l *byteLimiter) acquire(n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.held >= l.limit && !l.disabled {
		l.changed.Wait()
	}
	l.held += n
}

func (l *byteLimiter) release(n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	full := l.held >= l.limit
	l.held -= n
	if full && l.held < l.limit {
		l.changed.Broadcast()
	}
}

// disable ends all waiting, now and in the future.
func (l *byteLimiter) disable() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.disabled = true
	l.changed.Broadcast()
}
