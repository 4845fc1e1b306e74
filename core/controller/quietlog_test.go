package controller

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Whoever can make the controller write a line can't fill the disk with it, and
// other lines are still written.
func TestQuietLog(t *testing.T) {
	var out bytes.Buffer
	now := time.Now()
	log := newQuietLog(hclog.New(&hclog.LoggerOptions{Output: &out, Level: hclog.Info}))
	log.(quietLog).limits.now = func() time.Time { return now }
	hub, queue := log.Named("hub"), log.Named("queue").With("socket", "mux")
	for i := range 10 * logBurst {
		hub.Error(fmt.Sprintf("queue::target '%d' not registered", i))
		queue.Warn("request refused", "msg_id", i)
		queue.Info("engine registered", "id", i)
	}
	hub.Warn("another line")
	count := func(text string) int { return strings.Count(out.String(), text) }
	for text, want := range map[string]int{
		"queue::target '": logBurst, "request refused: ": logBurst, "engine registered": 10 * logBurst, "another line": 1, "more are left out": 2,
		`like="queue::target "`: 1, `like="request refused"`: 1,
	} {
		if got := count(text); got != want {
			t.Errorf("%q is there %d times, want %d", text, got, want)
		}
	}

	out.Reset()
	now = now.Add(logWindow)
	queue.Warn("request refused", "msg_id", "late")
	if got := out.String(); !strings.Contains(got, fmt.Sprintf(`left out: socket=mux like="request refused" lines=%d`, 9*logBurst)) || !strings.Contains(got, "msg_id=late") {
		t.Errorf("after a minute:\n%s", got)
	}

	for i := range 4 * logKinds {
		log.Warn("kind " + strings.Repeat("x", i))
	}
	if n := len(log.(quietLog).limits.kinds); n > logKinds {
		t.Errorf("%d kinds are counted", n)
	}
}
