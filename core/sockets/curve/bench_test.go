package sockets

import (
	"fmt"
	"testing"
)

// BenchmarkSeal and BenchmarkOpen measure one frame.
func BenchmarkSeal(b *testing.B) {
	for _, n := range []int{20, 250, 4 << 10, 32 << 10, 1 << 20} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := newSealer("CurveZMQMESSAGES", new([32]byte), 0)
			body, out := make([]byte, n), make([]byte, n+curveOverhead)
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				s.seal(out, s.next(), 0, body)
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, n := range []int{20, 250, 4 << 10, 32 << 10, 1 << 20} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := newSealer("CurveZMQMESSAGES", new([32]byte), 0)
			o := newOpener("CurveZMQMESSAGES", new([32]byte), 0)
			sealed, out := make([]byte, n+curveOverhead), make([]byte, n+curveOverhead)
			s.seal(sealed, s.next(), 0, make([]byte, n))
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				o.counter = 0
				copy(out, sealed)
				if _, err := o.open(out); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkServerHandshake measures the arithmetic that one client costs.
func BenchmarkServerHandshake(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		server, client := handshakeOf()
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
