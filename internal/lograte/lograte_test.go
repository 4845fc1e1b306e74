package lograte

import (
	"testing"
	"time"
)

func TestEvents(t *testing.T) {
	var e Events[int]
	now := time.Now()
	for i, c := range []struct {
		kind  int
		after time.Duration
		n     int
		ok    bool
	}{
		{1, 0, 1, true},
		{1, 0, 1, false},
		{2, 0, 1, true},
		{1, Interval - 1, 2, false},
		{1, Interval, 3, true},
		{1, Interval, 1, false},
		{2, 3 * Interval, 1, true},
	} {
		if n, ok := e.at(c.kind, now.Add(c.after)); n != c.n || ok != c.ok {
			t.Errorf("event %d: %d, %v; want %d, %v", i, n, ok, c.n, c.ok)
		}
	}
	for kind := range 3 * maxKinds {
		if n, ok := e.at(10+kind, now); n != 1 || !ok {
			t.Fatalf("the first of a kind: %d, %v", n, ok)
		}
		if len(e.kinds) > maxKinds {
			t.Fatalf("%d kinds are remembered", len(e.kinds))
		}
	}
}

func TestBurst(t *testing.T) {
	e := Events[string]{Burst: 3}
	now := time.Now()
	for i, c := range []struct {
		after time.Duration
		n     int
		ok    bool
	}{
		{0, 1, true},
		{0, 1, true},
		{0, 1, true},
		{0, 1, false},
		{Interval - 1, 2, false},
		{Interval, 3, true},
		{Interval, 1, true},
	} {
		if n, ok := e.at("kind", now.Add(c.after)); n != c.n || ok != c.ok {
			t.Errorf("event %d: %d, %v; want %d, %v", i, n, ok, c.n, c.ok)
		}
	}
}
