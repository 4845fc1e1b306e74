package controller

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/internal/lograte"
)

// TestLimitedLog checks that a peer that causes log lines can't fill the disk with
// them, and that other lines are still written.
func TestLimitedLog(t *testing.T) { synctest.Test(t, testLimitedLog) }

func testLimitedLog(t *testing.T) {
	var out bytes.Buffer
	log := newLimitedLog(hclog.New(&hclog.LoggerOptions{Output: &out, Level: hclog.Info}))
	hub, queue := log.Named("hub"), log.Named("queue").With("socket", "mux")
	for i := range 10 * logBurst {
		hub.Error(fmt.Sprintf("queue::target '%d' not registered", i))
		queue.Warn("request refused", "msg_id", i)
		queue.Info("engine registered", "id", i)
	}
	hub.Warn("another line")
	for text, want := range map[string]int{
		"queue::target '": logBurst, "request refused: ": logBurst, "engine registered": 10 * logBurst, "another line": 1, "more are suppressed": 2,
		`like="queue::target "`: 1, `like="request refused"`: 1,
	} {
		if got := strings.Count(out.String(), text); got != want {
			t.Errorf("%q was written %d times, want %d", text, got, want)
		}
	}

	out.Reset()
	time.Sleep(lograte.Interval) // of the test's own clock
	queue.Warn("request refused", "msg_id", "late")
	if got := out.String(); !strings.Contains(got, fmt.Sprintf(`were suppressed: socket=mux like="request refused" lines=%d`, 9*logBurst)) || !strings.Contains(got, "msg_id=late") {
		t.Errorf("after a minute:\n%s", got)
	}
}
