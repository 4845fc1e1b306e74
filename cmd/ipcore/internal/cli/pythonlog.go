package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/hashicorp/go-hclog"
)

// logTime is the form of times in log lines, that of IPython Parallel.
const logTime = "2006-01-02 15:04:05.000"

// pythonLogger returns a logger whose lines have the form of IPython Parallel's:
//
//	2026-11-21 11:31:58.811 [IPControllerApp] hub::created hub
//	2026-11-21 11:31:58.812 [IPControllerApp] WARNING | message dropped peer=10.0.0.1:4711
func pythonLogger(s *Streams, level hclog.Level) hclog.Logger {
	log := hclog.NewInterceptLogger(&hclog.LoggerOptions{Level: level, Output: io.Discard})
	log.RegisterSink(&pythonSink{out: s.Err, name: s.LogName, level: level})
	return log
}

// pythonSink is a hclog.SinkAdapter. It receives lines of every level.
type pythonSink struct {
	name  string
	level hclog.Level

	mu  sync.Mutex
	out io.Writer
}

// pythonLevels are what IPython Parallel writes for levels; it writes nothing for the
// others.
var pythonLevels = map[hclog.Level]string{hclog.Warn: " WARNING |", hclog.Error: " ERROR |"}

// Accept implements hclog.SinkAdapter.
func (p *pythonSink) Accept(_ string, level hclog.Level, msg string, args ...any) {
	if level < p.level {
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s [%s]%s %s", time.Now().Format(logTime), p.name, pythonLevels[level], oneLine(msg))
	for i := 0; i+1 < len(args); i += 2 {
		fmt.Fprintf(&b, " %v=%s", args[i], fact(args[i+1]))
	}
	b.WriteByte('\n')
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = io.WriteString(p.out, b.String()) // a failure to log can't be logged
}

// oneLine returns a message with everything quoted that could end its line.
func oneLine(text string) string {
	if !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return text
	}
	quoted := strconv.Quote(text)
	return quoted[1 : len(quoted)-1]
}

// fact returns a value's text, quoted if needed: a text from a peer can begin neither
// a new line nor another fact.
func fact(v any) string {
	text := fmt.Sprint(v)
	if text == "" || strings.ContainsFunc(text, func(r rune) bool {
		return r == ' ' || r == '"' || r == '=' || !unicode.IsPrint(r)
	}) {
		return strconv.Quote(text)
	}
	return text
}
