package plugin

import (
	"io"
	"strings"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
)

// pluginLogger passes on go-plugin's log messages. While the plugin is being ended on
// purpose, it reduces errors and warnings ("failed to exit gracefully") to level Debug.
type pluginLogger struct {
	hclog.Logger
	ending *atomic.Bool
}

func newPluginLogger(logger hclog.Logger) *pluginLogger {
	return &pluginLogger{Logger: logger, ending: new(atomic.Bool)}
}

// beginEnd is called before the plugin is ended.
func (l *pluginLogger) beginEnd() { l.ending.Store(true) }

// Named returns a sub-logger that shares the state set by beginEnd.
func (l *pluginLogger) Named(name string) hclog.Logger {
	return &pluginLogger{Logger: l.Logger.Named(name), ending: l.ending}
}

// With returns a sub-logger that shares the state set by beginEnd.
func (l *pluginLogger) With(args ...any) hclog.Logger {
	return &pluginLogger{Logger: l.Logger.With(args...), ending: l.ending}
}

// Error logs at level Debug instead while the plugin is being ended.
func (l *pluginLogger) Error(msg string, args ...any) {
	if l.ending.Load() {
		l.Debug(msg, args...)
		return
	}
	l.Logger.Error(msg, args...)
}

// Warn logs at level Debug instead while the plugin is being ended.
func (l *pluginLogger) Warn(msg string, args ...any) {
	if l.ending.Load() {
		l.Debug(msg, args...)
		return
	}
	l.Logger.Warn(msg, args...)
}

// Info logs the start and the end of plugin processes at level Debug, because they do not
// concern users.
func (l *pluginLogger) Info(msg string, args ...any) {
	if strings.HasPrefix(msg, "plugin process") {
		l.Debug(msg, args...)
		return
	}
	l.Logger.Info(msg, args...)
}

// writer returns a writer that logs the plugin's output after its first line.
func (l *pluginLogger) writer(stream string) io.Writer {
	return l.Logger.Named(stream).StandardWriter(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug})
}
