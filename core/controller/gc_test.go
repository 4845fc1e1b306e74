package controller

import (
	"os"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"
)

// TestTuneGC checks the heap size at which the next collection is due, after some
// collections.
func TestTuneGC(t *testing.T) {
	if os.Getenv("GOGC") != "" {
		t.Skip("GOGC is set")
	}
	defer tuneGC()()
	kept := make([]byte, 8<<20)
	deadline := time.Now().Add(20 * time.Second)
	for range 3 {
		runtime.GC()
		for goal := uint64(0); goal < heapFloor/2 || goal > 4*heapFloor; {
			s := []metrics.Sample{{Name: "/gc/heap/goal:bytes"}}
			metrics.Read(s)
			goal = s[0].Value.Uint64()
			if time.Now().After(deadline) {
				t.Fatalf("the heap may grow to %d MiB, expected about %d", goal>>20, heapFloor>>20)
			}
			runtime.Gosched()
		}
	}
	runtime.KeepAlive(kept)
}
