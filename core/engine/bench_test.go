//go:build unix

package engine

import (
	"strings"
	"testing"
)

// BenchmarkApply measures a whole task on the engine's side: TCP, signature, queue,
// worker (which does nothing), reply, and the published messages.
func BenchmarkApply(b *testing.B) {
	c := newController(b)
	c.ready()
	c.reply(c.apply(""))
	go func() {
		for range c.published {
		}
	}()
	for _, size := range []int{16, 1 << 20} {
		buffer := strings.Repeat("x", size)
		b.Run(map[int]string{16: "16B", 1 << 20: "1MiB"}[size], func(b *testing.B) {
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				c.reply(c.apply("", buffer))
			}
		})
	}
}
