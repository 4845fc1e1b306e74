package plugin

import (
	"io"
	"strings"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
)

// quietLogger passes on what go-plugin logs, but what it says while the plugin is
// being ended on purpose ("failed to exit gracefully", at Error) only as Debug.
type quietLogger struct {
	hclog.Logger
	ending *atomic.Bool
}

func newQuietLogger(l hclog.Logger) *quietLogger {
	return &quietLogger{Logger: l, ending: new(atomic.Bool)}
}

func (q *quietLogger) quiet() { q.ending.Store(true) }

// Named keeps the quiet.
func (q *quietLogger) Named(name string) hclog.Logger {
	return &quietLogger{Logger: q.Logger.Named(name), ending: q.ending}
}

// With keeps the quiet.
func (q *quietLogger) With(args ...any) hclog.Logger {
	return &quietLogger{Logger: q.Logger.With(args...), ending: q.ending}
}

// Error logs, unless the plugin is being ended.
func (q *quietLogger) Error(msg string, args ...any) {
	if q.ending.Load() {
		q.Debug(msg, args...)
		return
	}
	q.Logger.Error(msg, args...)
}

// Warn logs, unless the plugin is being ended.
func (q *quietLogger) Warn(msg string, args ...any) {
	if q.ending.Load() {
		q.Debug(msg, args...)
		return
	}
	q.Logger.Warn(msg, args...)
}

// Info logs as Debug: that a plugin process came or went is no news to a user.
func (q *quietLogger) Info(msg string, args ...any) {
	if strings.HasPrefix(msg, "plugin process") {
		q.Debug(msg, args...)
		return
	}
	q.Logger.Info(msg, args...)
}

// writer logs what a plugin prints after its first line.
func (q *quietLogger) writer(stream string) io.Writer {
	return q.Logger.Named(stream).StandardWriter(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug})
}
