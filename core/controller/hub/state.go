package hub

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/wire"
	"github.com/ipcore/ipcore/internal/atomicfile"
)

// engineState is the content of the file from which a restarted controller knows
// its engines.
type engineState struct {
	Engines map[string]string `json:"engines"` // uuid by id
	NextID  int               `json:"next_id"`
}

// stateDelay is how long a change of the engine table that nobody was notified of
// may wait, so that others are written with it: the whole table is written each
// time.
const stateDelay = 5 * time.Millisecond

// stateWait is how long an announcement waits until the engine table with the new
// engine is written.
const stateWait = 100 * time.Millisecond

// markStateChanged notes that the engine table has to be written.
func (h *Hub) markStateChanged() {
	if h.stateChanged.IsZero() {
		h.stateChanged = time.Now()
	}
}

// stateDue returns when the engine table has to be written; any is false if it need
// not be.
func (h *Hub) stateDue() (due time.Time, any bool) {
	return h.stateChanged.Add(stateDelay), !h.stateChanged.IsZero() && h.state != nil
}

// saveState starts writing the engine table.
func (h *Hub) saveState() {
	h.stateChanged = time.Time{}
	if h.state == nil {
		return
	}
	h.state.write(h.encodeState())
}

// encodeState returns an engineState as JSON. It is called for each new engine, so
// it does not use reflection.
func (h *Hub) encodeState() []byte {
	b := make([]byte, 0, 64*(len(h.engines.list)+1))
	b = append(b, `{"engines":{`...)
	first := true
	for _, e := range h.engines.list {
		if !e.live {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(b, '"')
		b = strconv.AppendInt(b, int64(e.id), 10)
		b = append(b, `":`...)
		b = wire.AppendString(b, e.uuid)
	}
	b = append(b, `},"next_id":`...)
	return append(strconv.AppendInt(b, int64(h.engines.next), 10), '}')
}

// saveStateAndWait returns when the engine table is in its file, so that what the
// hub announces next outlives a killed controller. A disk that does not respond
// delays the hub by stateWait once, and not again until it has responded.
func (h *Hub) saveStateAndWait() {
	h.saveState()
	if h.state != nil && !h.state.wait(stateWait) {
		h.log.Warn("engine table is not saved yet: if the controller is killed now, its successor does not know the newest engines",
			"file", h.o.StateFile, "waited", stateWait)
	}
}

// restore reads the engine table. A missing file is an empty table, and so is an
// empty file, which a power cut may leave.
func (h *Hub) restore() error {
	text, err := os.ReadFile(h.o.StateFile)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(text) == 0 {
		h.log.Warn("engine table is empty: earlier engines are not known", "file", h.o.StateFile)
		return nil
	}
	var s engineState
	if err := json.Unmarshal(text, &s); err != nil {
		return fmt.Errorf("%s: %w", h.o.StateFile, err)
	}
	for key, uuid := range s.Engines {
		id, err := strconv.Atoi(key)
		if err != nil || id < 0 || id > maxID || uuid == "" {
			return fmt.Errorf("%s: %q is not an engine id", h.o.StateFile, key)
		}
		h.engines.add(id, uuid)
		h.stats.Engines++
	}
	if s.NextID > 0 && s.NextID <= maxID {
		h.engines.next = max(h.engines.next, s.NextID)
	}
	return nil
}

// stateWriter writes the newest state at its own pace, so that a slow disk does not
// delay the hub. Only the hub's goroutine calls write, wait and close.
type stateWriter struct {
	path    string
	log     hclog.Logger
	newest  chan pendingState // holds at most one
	done    chan struct{}
	written chan struct{} // closed when the last state that was passed to write is written
	slow    bool          // the last wait timed out
}

// pendingState is an engine table and a channel that is closed when it is written.
type pendingState struct {
	text    []byte
	written chan struct{}
}

func startStateWriter(path string, log hclog.Logger) *stateWriter {
	w := &stateWriter{path: path, log: log, newest: make(chan pendingState, 1), done: make(chan struct{})}
	go w.run()
	return w
}

// write passes a state on to be written. It replaces one whose writing has not
// begun.
func (w *stateWriter) write(text []byte) {
	next := pendingState{text, make(chan struct{})}
	select {
	case old := <-w.newest:
		next.written = old.written
	default:
	}
	w.written = next.written
	w.newest <- next
}

// wait reports whether the last state was written, or could not be, within limit.
// After a wait that timed out it returns true at once until a state has been
// written.
func (w *stateWriter) wait(limit time.Duration) bool {
	if w.slow {
		select {
		case <-w.written:
			w.slow = false
		default:
		}
		return true
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-w.written:
		return true
	case <-timer.C:
		w.slow = true
		return false
	}
}

// run writes without a sync: the table has to outlive this process, and after a
// power cut an older one is as good.
func (w *stateWriter) run() {
	defer close(w.done)
	for s := range w.newest {
		if err := atomicfile.Replace(w.path, s.text, 0o600); err != nil {
			w.log.Error("engine table not saved", "error", err)
		}
		close(s.written)
	}
}

// close returns when the last state is written.
func (w *stateWriter) close() {
	close(w.newest)
	<-w.done
}
