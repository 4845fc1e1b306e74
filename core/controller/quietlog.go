package controller

import (
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// A kind of log line is its text up to what differs: the first digit or quote.
const (
	// logBurst is how many warnings or errors of one kind are written in
	// logWindow. Peers, with the key or without, can cause any number of them.
	logBurst  = 100
	logWindow = time.Minute
	// logKinds bounds the kinds that are counted at a time.
	logKinds = 256
)

// quietLog is a logger whose warnings and errors are bounded, kind by kind, for
// all loggers that are made of it together.
type quietLog struct {
	hclog.Logger
	limits *logLimits
}

func newQuietLog(log hclog.Logger) hclog.Logger {
	return quietLog{log, &logLimits{now: time.Now, kinds: map[string]*logKind{}}}
}

// Warn writes a line unless there were too many of its kind.
func (q quietLog) Warn(text string, facts ...any) {
	if q.limits.admit(q.Logger, text) {
		q.Logger.Warn(text, facts...)
	}
}

// Error writes a line unless there were too many of its kind.
func (q quietLog) Error(text string, facts ...any) {
	if q.limits.admit(q.Logger, text) {
		q.Logger.Error(text, facts...)
	}
}

// With answers a logger with more facts.
func (q quietLog) With(facts ...any) hclog.Logger {
	return quietLog{q.Logger.With(facts...), q.limits}
}

// Named answers a logger with a longer name.
func (q quietLog) Named(name string) hclog.Logger { return quietLog{q.Logger.Named(name), q.limits} }

// ResetNamed answers a logger with another name.
func (q quietLog) ResetNamed(name string) hclog.Logger {
	return quietLog{q.Logger.ResetNamed(name), q.limits}
}

type logLimits struct {
	now   func() time.Time
	mu    sync.Mutex // held while a line is written, so that lines about lines stay beside them
	kinds map[string]*logKind
}

type logKind struct {
	began   time.Time // of the window
	written int
	left    int // out, in this window
}

// admit reports whether one more line of a kind may be written, and tells of those
// that may not: when the first is left out, and how many there were when the next
// is written.
func (l *logLimits) admit(log hclog.Logger, text string) bool {
	kind := text
	if i := strings.IndexAny(text, `0123456789'"`); i >= 0 {
		kind = text[:i]
	}
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.kinds[kind]
	if k == nil {
		if len(l.kinds) >= logKinds {
			clear(l.kinds)
		}
		k = &logKind{began: now}
		l.kinds[strings.Clone(kind)] = k
	}
	if now.Sub(k.began) >= logWindow {
		if k.left > 0 {
			log.Warn("log lines were left out", "like", kind, "lines", k.left)
		}
		*k = logKind{began: now}
	}
	if k.written == logBurst {
		if k.left == 0 {
			log.Warn("too many log lines of one kind: more are left out for a minute", "like", kind)
		}
		k.left++
		return false
	}
	k.written++
	return true
}
