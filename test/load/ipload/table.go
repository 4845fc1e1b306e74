package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// The peers that are compared.
const (
	ours     = "ours"
	upstream = "upstream"
	bare     = "bare"
)

// limit is an entry of the thresholds file. Ratios are of medians of the same
// run.
type limit struct {
	Max      *float64 `json:"max"`       // ours is at most this
	Min      *float64 `json:"min"`       // ours is at least this
	MinRatio *float64 `json:"min_ratio"` // ours is this many times better than upstream's
	BareMax  *float64 `json:"bare_max"`  // ours is at most this many times the bare forwarder's
	BareMin  *float64 `json:"bare_min"`  // ours is at least this many times the bare forwarder's
}

// table holds values by figure and peer, figures as they came.
type table struct {
	names  []string
	values map[string]map[string][]float64
}

func (t *table) add(who string, got ...figure) {
	for _, f := range got {
		by := t.values[f.name]
		if by == nil {
			if t.values == nil {
				t.values = map[string]map[string][]float64{}
			}
			by = map[string][]float64{}
			t.values[f.name] = by
			t.names = append(t.names, f.name)
		}
		by[who] = append(by[who], f.value)
	}
}

// print shows the values of a single controller.
func (t *table) print(w io.Writer) {
	for _, name := range t.names {
		fmt.Fprintf(w, "%-62s %s\n", name, show(t.values[name][""]))
	}
}

// compare shows peers side by side and returns the figures whose limits are not
// kept, or could not be checked.
func (t *table) compare(w io.Writer, limits map[string]limit) (broken []string) {
	const row = "%-58s %22s %26s %8s %22s %7s  %s\n"
	fmt.Fprintf(w, row, "median (min–max)", ours, upstream, "better", bare, "x bare", "limit")
	for _, name := range t.names {
		by := t.values[name]
		mine, _, _ := median(by[ours])
		theirs, _, _ := median(by[upstream])
		forwarder, _, _ := median(by[bare])
		var better, timesBare string
		ratio := 0.0
		if mine > 0 && theirs > 0 {
			ratio = theirs / mine
			if higherIsBetter(name) {
				ratio = mine / theirs
			}
			better = short(ratio)
		}
		if mine > 0 && forwarder > 0 {
			timesBare = short(mine / forwarder)
		}
		var verdicts []string
		check := func(bound *float64, have bool, kept func(float64) bool, text string) {
			if bound == nil || len(by[ours]) == 0 {
				return
			}
			verdict := "pass"
			switch {
			case !have:
				verdict = "NOT MEASURED"
			case !kept(*bound):
				verdict = "FAIL"
			}
			if verdict != "pass" && !slices.Contains(broken, name) {
				broken = append(broken, name)
			}
			verdicts = append(verdicts, fmt.Sprintf("%s %s %s", verdict, text, short(*bound)))
		}
		l := limits[name]
		check(l.Max, true, func(b float64) bool { return mine <= b }, "at most")
		check(l.Min, true, func(b float64) bool { return mine >= b }, "at least")
		check(l.MinRatio, ratio > 0, func(b float64) bool { return ratio >= b }, "times better:")
		check(l.BareMax, forwarder > 0, func(b float64) bool { return mine <= b*forwarder }, "x bare at most")
		check(l.BareMin, forwarder > 0, func(b float64) bool { return mine >= b*forwarder }, "x bare at least")
		fmt.Fprintf(w, row, name, show(by[ours]), show(by[upstream]), better, show(by[bare]), timesBare, strings.Join(verdicts, "; "))
	}
	return broken
}

// higherIsBetter reports whether a figure has a unit of which more is better.
func higherIsBetter(name string) bool { return strings.HasSuffix(name, "/s") }
