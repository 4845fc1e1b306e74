package curve

import (
	"fmt"
	"testing"
)

// BenchmarkSeal measures one frame, without the system call that would send it.
func BenchmarkSeal(b *testing.B) {
	for _, n := range []int{20, 250, 4 << 10, 32 << 10, 1 << 20} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := newSealer("CurveZMQMESSAGES", new([32]byte), 0)
			body, out := make([]byte, n), make([]byte, n+Overhead)
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				s.Seal(out, s.Next(), 0, body)
			}
		})
	}
}

// BenchmarkOpen measures one frame.
func BenchmarkOpen(b *testing.B) {
	for _, n := range []int{20, 250, 4 << 10, 32 << 10, 1 << 20} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := newSealer("CurveZMQMESSAGES", new([32]byte), 0)
			o := newOpener("CurveZMQMESSAGES", new([32]byte), 0)
			sealed, out := make([]byte, n+Overhead), make([]byte, n+Overhead)
			s.Seal(sealed, s.Next(), 0, make([]byte, n))
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				o.counter = 0
				copy(out, sealed)
				if _, err := o.Open(out); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkServerHandshake measures the arithmetic that one client costs its server.
func BenchmarkServerHandshake(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		server, client := handshakes()
		hello, err := client.hello()
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		welcome, err := server.hello(hello)
		b.StopTimer()
		if err != nil {
			b.Fatal(err)
		}
		initiate, err := client.welcome(welcome, nil)
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if _, err := server.initiate(initiate); err != nil {
			b.Fatal(err)
		}
	}
}
