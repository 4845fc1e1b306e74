package plugin

import (
	"io"
	"strings"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
)

// quietLogger passes on what go-plugin logs, but what it says while the plugin is
// being ended on purpose ("failed to exit gracefully", at Error) only as Debug.
type pluginLogger struct {
	hclog.Logger
	ending *atomic.Bool
}

func newPluginLogger(logger hclog.Logger) *pluginLogger {
	return &pluginLogger{Logger: logger, ending: new(atomic.Bool)}
}

func (l *pluginLogger) beginEnd() { l.ending.Store(true) }

// Named keeps the quiet.
func (l *pluginLogger) Named(name string) hclog.Logger {
	return &pluginLogger{Logger: l.Logger.Named(name), ending: l.ending}
}

// With keeps the quiet.
func (l *pluginLogger) With(args ...any) hclog.Logger {
	return &pluginLogger{Logger: l.Logger.With(args...), ending: l.ending}
}

// Error logs, unless the plugin is being ended.
func (l *pluginLogger) Error(msg string, args ...any) {
	if l.ending.Load() {
		l.Debug(msg, args...)
		return
	}
	l.Logger.Error(msg, args...)
}

// Warn logs, unless the plugin is being ended.
func (l *pluginLogger) Warn(msg string, args ...any) {
	if l.ending.Load() {
		l.Debug(msg, args...)
		return
	}
	l.Logger.Warn(msg, args...)
}

// Info logs as Debug: that a plugin process came or went is no news to a user.
func (l *pluginLogger) Info(msg string, args ...any) {
	if strings.HasPrefix(msg, "plugin process") {
		l.Debug(msg, args...)
		return
	}
	l.Logger.Info(msg, args...)
}

// writer logs what a plugin prints after its first line.
func (l *pluginLogger) writer(stream string) io.Writer {
	return l.Logger.Named(stream).StandardWriter(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug})
}
