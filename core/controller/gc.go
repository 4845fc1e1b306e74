package controller

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
)

// heapFloor is the size in bytes that the heap may reach before garbage is
// collected, however little of it is live. A controller holds a few megabytes and
// allocates a hundred a second: with Go's default, twice the live heap, it would
// collect all the time.
const heapFloor = 64 << 20

// heapMaxFactor bounds the heap to a multiple of the live heap: when a thousand
// engines connect at once, the live heap grows a lot before tune runs again.
const heapMaxFactor = 8

// heapLarge is the size in bytes of the live heap above which garbage gets less
// memory than Go's default gives it: memory is worth more for a long history than
// for saving the collector's time.
const heapLarge = 64 << 20

// heapHuge is the size above which garbage gets a quarter of the live heap: the
// live heap then consists of messages queued for peers that do not read, or of
// large results, which the collector does not scan.
const heapHuge = 512 << 20

// gcTuner sets GOGC so that a collection starts at twice the live heap, or at
// heapFloor when that is more.
type gcTuner struct {
	before int // GOGC in percent, before tuneGC
	ended  atomic.Bool
}

// gcSentinel is unreachable as soon as it is created, so that its finalizer runs
// after the next collection.
type gcSentinel struct{ tuner *gcTuner }

// tuneGC adjusts GOGC after each collection until end is called. It does nothing
// when the user has set GOGC.
func tuneGC() (end func()) {
	if _, set := os.LookupEnv("GOGC"); set {
		return func() {}
	}
	h := &gcTuner{before: debug.SetGCPercent(100)}
	h.tune()
	return func() {
		h.ended.Store(true)
		debug.SetGCPercent(h.before)
	}
}

// tune sets how much may be allocated before the next collection, in percent of the
// live heap.
func (h *gcTuner) tune() {
	if h.ended.Load() {
		return
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	used := max(live[0].Value.Uint64(), heapFloor/heapMaxFactor)
	percent := h.before
	switch {
	case used > heapHuge:
		percent = min(percent, 25)
	case used > heapLarge:
		percent = min(percent, 75)
	}
	debug.SetGCPercent(max(percent, int(min(math.MaxInt32, 100*heapFloor/used))-100))
	runtime.SetFinalizer(&gcSentinel{h}, func(g *gcSentinel) { g.tuner.tune() })
}
