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
// collected, however little of it is in use. A controller holds a few megabytes
// and makes a hundred a second: with Go's own rule, twice what is in use, it
// would collect all the time.
const heapFloor = 64 << 20

// heapTimes bounds how many times what is in use the heap may reach: when a
// thousand engines come at once, much more is in use before tune has its turn.
const heapTimes = 8

// heapLarge is the size in bytes of what is in use from which garbage gets less
// room than Go's rule gives it: a long history is worth more than the collector's
// time.
const heapLarge = 64 << 20

// heapHuge is that from which it gets a quarter: what is in use is then messages
// that wait for peers that don't read, or large results, which the collector
// does not look into.
const heapHuge = 512 << 20

// heapRoom keeps Go's rule for garbage at twice what is in use, or heapFloor
// when that is more.
type heapRoom struct {
	before int // the setting of GOGC
	ended  atomic.Bool
}

// garbage becomes garbage at once, so that its finalizer runs after each
// collection.
type garbage struct{ room *heapRoom }

// keepHeapRoom works until its answer is called. It does nothing when the user
// has set GOGC.
func keepHeapRoom() (end func()) {
	if _, set := os.LookupEnv("GOGC"); set {
		return func() {}
	}
	h := &heapRoom{before: debug.SetGCPercent(100)}
	h.tune()
	return func() {
		h.ended.Store(true)
		debug.SetGCPercent(h.before)
	}
}

// tune sets the part of what is in use that may be added before the next
// collection.
func (h *heapRoom) tune() {
	if h.ended.Load() {
		return
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	used := max(live[0].Value.Uint64(), heapFloor/heapTimes)
	percent := h.before
	switch {
	case used > heapHuge:
		percent = min(percent, 25)
	case used > heapLarge:
		percent = min(percent, 75)
	}
	debug.SetGCPercent(max(percent, int(min(math.MaxInt32, 100*heapFloor/used))-100))
	runtime.SetFinalizer(&garbage{h}, func(g *garbage) { g.room.tune() })
}
