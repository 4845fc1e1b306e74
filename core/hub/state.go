package hub

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/internal/atomicfile"
)

// engineState is the file by which a restarted controller knows its engines.
type engineState struct {
	Engines map[string]string `json:"engines"` // id: uuid
	NextID  int               `json:"next_id"`
}

// stateDelay is how long a change of the engine table may wait for others to be
// written with it: the whole table is written each time.
const stateDelay = 5 * time.Millisecond

// changeState notes that the engine table is to be written.
func (h *Hub) changeState() {
	if h.changed.IsZero() {
		h.changed = time.Now()
	}
}

// stateDue answers when the engine table is to be written, if it is.
func (h *Hub) stateDue() (due time.Time, any bool) {
	return h.changed.Add(stateDelay), !h.changed.IsZero() && h.state != nil
}

// saveState has the engine table written.
func (h *Hub) saveState() {
	h.changed = time.Time{}
	if h.state == nil {
		return
	}
	s := engineState{Engines: make(map[string]string), NextID: h.engines.next}
	for _, e := range h.engines.live() {
		s.Engines[strconv.Itoa(e.id)] = e.uuid
	}
	text, err := json.Marshal(s)
	if err != nil {
		h.log.Error("engine table not saved", "error", err)
		return
	}
	h.state.write(text)
}

// restore reads the engine table; a file that is not there is an empty one.
func (h *Hub) restore() error {
	text, err := os.ReadFile(h.o.StateFile)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
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

// stateWriter writes the newest state at its own pace, so that a slow disk
// does not hold up the hub.
type stateWriter struct {
	path   string
	log    hclog.Logger
	newest chan []byte // holds at most one
	done   chan struct{}
}

func startStateWriter(path string, log hclog.Logger) *stateWriter {
	w := &stateWriter{path: path, log: log, newest: make(chan []byte, 1), done: make(chan struct{})}
	go w.run()
	return w
}

// write hands a state over; one that is not yet being written is replaced. Only
// the hub's goroutine calls it.
func (w *stateWriter) write(text []byte) {
	select {
	case <-w.newest:
	default:
	}
	w.newest <- text
}

func (w *stateWriter) run() {
	defer close(w.done)
	for text := range w.newest {
		if err := atomicfile.Write(w.path, text, 0o600); err != nil {
			w.log.Error("engine table not saved", "error", err)
		}
	}
}

// close returns when the last state is written.
func (w *stateWriter) close() {
	close(w.newest)
	<-w.done
}
