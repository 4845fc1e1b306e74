package hub

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestRestore(t *testing.T) {
	state := filepath.Join(t.TempDir(), "engines.json")
	if err := os.WriteFile(state, []byte(`{"engines": {"0": "a", "2": "b"}, "next_id": 3}`), 0o600); err != nil {
		t.Fatal(err)
	}
	f := start(t, testKey, func(o *Options) { o.StateFile = state; o.Restore = true })
	f.wantEvent("registered 0 a")
	f.wantEvent("registered 2 b")
	f.expect("connection_request", `{}`, "connection_reply", `{"status": "ok", "engines": {"0": "a", "2": "b"}}`)
	f.engine(3, "c")
	f.stop()
	text, err := os.ReadFile(state)
	if err != nil || string(text) != `{"engines":{"0":"a","2":"b","3":"c"},"next_id":4}` {
		t.Errorf("engine table %s, %v", text, err)
	}
}

// TestStateComesFirst checks that the successor of a killed controller knows every
// engine that was announced.
func TestStateComesFirst(t *testing.T) {
	state := filepath.Join(t.TempDir(), "engines.json")
	tables := make(chan string, 3) // as they were when an engine was announced
	f := start(t, testKey, func(o *Options) {
		o.StateFile = state
		o.Registered = func(int, string) {
			text, _ := os.ReadFile(state)
			tables <- string(text)
		}
	})
	for id, uuid := range []string{"a", "b", "c"} {
		f.ask("registration_request", fmt.Sprintf(`{"uuid": %q}`, uuid))
		f.wantEvent(fmt.Sprint("pending ", id, " ", uuid))
	}
	f.hub.Ready("a")
	want := `{"engines":{"0":"a"},"next_id":3}`
	if got := <-tables; got != want {
		t.Errorf("table %s, want %s", got, want)
	}
	f.hub.Ready("c") // waits for b; both are announced together
	f.hub.Ready("b")
	want = `{"engines":{"0":"a","1":"b","2":"c"},"next_id":3}`
	for range 2 {
		if got := <-tables; got != want {
			t.Errorf("table %s, want %s", got, want)
		}
	}
}

func TestStateOnSlowDisk(t *testing.T) {
	w := &stateWriter{newest: make(chan pendingState, 1)} // nothing writes what it gets
	const moment = 10 * time.Millisecond
	w.write([]byte("one"))
	if w.wait(moment) {
		t.Error("wait returned true before the state was written")
	}
	w.write([]byte("two"))
	if !w.wait(time.Hour) {
		t.Error("wait blocks again for a disk that does not respond")
	}
	s := <-w.newest
	if string(s.text) != "two" {
		t.Errorf("to be written: %s", s.text)
	}
	close(s.written)
	if !w.wait(moment) {
		t.Error("wait returned false after the state was written")
	}
	w.write([]byte("three"))
	if w.wait(moment) {
		t.Error("wait does not block for a disk that responds again")
	}
}

func TestEmptyStateFile(t *testing.T) {
	state := filepath.Join(t.TempDir(), "engines.json")
	if err := os.WriteFile(state, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f := start(t, testKey, func(o *Options) { o.StateFile = state; o.Restore = true })
	f.expect("connection_request", `{}`, "connection_reply", `{"status": "ok", "engines": {}}`)
	if log := f.log.String(); !strings.Contains(log, "engine table is empty") {
		t.Error("no warning:\n" + log)
	}
}

// TestStateText checks that restore can read the table, whatever an engine's uuid
// is.
func TestStateText(t *testing.T) {
	h := &Hub{engines: engineTable{byUUID: map[string]*engine{}}}
	h.engines.add(3, "plain")
	h.engines.add(1, "a \"quoted\" \\ one\n")
	h.engines.add(7, "gone")
	h.engines.get(7).live = false
	var got engineState
	if err := json.Unmarshal(h.encodeState(), &got); err != nil {
		t.Fatalf("%v: %s", err, h.encodeState())
	}
	want := engineState{Engines: map[string]string{"3": "plain", "1": "a \"quoted\" \\ one\n"}, NextID: 8}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}
