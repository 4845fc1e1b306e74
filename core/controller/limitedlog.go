package controller

import (
	"strings"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/internal/lograte"
)

// logBurst is how many warnings or errors of one kind are written in
// lograte.Interval. Peers, with the key or without it, can cause any number of them.
const logBurst = 100

// limitedLog is a logger that limits its warnings and errors by kind. Loggers that
// are derived from it share the limits.
type limitedLog struct {
	hclog.Logger
	lines *lograte.Events[string] // by kind of line
}

func newLimitedLog(log hclog.Logger) hclog.Logger {
	return limitedLog{log, &lograte.Events[string]{Burst: logBurst}}
}

// Warn writes a line unless there were too many of its kind.
func (l limitedLog) Warn(text string, facts ...any) {
	if l.admit(text) {
		l.Logger.Warn(text, facts...)
	}
}

// Error writes a line unless there were too many of its kind.
func (l limitedLog) Error(text string, facts ...any) {
	if l.admit(text) {
		l.Logger.Error(text, facts...)
	}
}

// With returns a logger with more facts.
func (l limitedLog) With(facts ...any) hclog.Logger {
	return limitedLog{l.Logger.With(facts...), l.lines}
}

// Named returns a logger with name appended to its name.
func (l limitedLog) Named(name string) hclog.Logger {
	return limitedLog{l.Logger.Named(name), l.lines}
}

// ResetNamed returns a logger with another name.
func (l limitedLog) ResetNamed(name string) hclog.Logger {
	return limitedLog{l.Logger.ResetNamed(name), l.lines}
}

// admit reports whether a line may be written. It logs when the first line of a kind
// is suppressed, and how many were before the next one is written.
func (l limitedLog) admit(text string) bool {
	kind := lineKind(text)
	n, ok := l.lines.Log(kind)
	switch {
	case ok && n > 1:
		l.Logger.Warn("log lines were suppressed", "like", kind, "lines", n-1)
	case !ok && n == 1:
		l.Logger.Warn("too many log lines of one kind: more are suppressed for a minute", "like", kind)
	}
	return ok
}

// lineKind returns the text of a log line up to the first digit or quote, where
// lines of one kind begin to differ. It is a copy: the text may be long.
func lineKind(text string) string {
	if i := strings.IndexAny(text, `0123456789'"`); i >= 0 {
		text = text[:i]
	}
	return strings.Clone(text)
}
