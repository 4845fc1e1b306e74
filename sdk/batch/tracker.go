package batch

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/ipcore/ipcore/sdk"
)

// tracker holds what is known about one submitted job: its elements, and how each
// ended. An element is one engine of an array; a job that is not an array has one.
type tracker struct {
	id         string // as submitted
	listedID   string // the id that the system lists it under
	name       string // "" when it is not known
	unknownEnd string // System.UnknownEnd or its default
	array      bool
	first      int // index of the first element, as the system counts

	submitted    time.Time                  // zero when an earlier process submitted it
	onElementEnd func(index int, e element) // called once for each element, without mu
	onOutage     func(text string)          // called with "" when an outage has ended, without mu

	done chan struct{} // closed when all elements have ended

	mu        sync.Mutex
	elements  []element
	left      int       // elements that have not ended
	seen      bool      // the system has shown it
	stopping  bool      // ends are not reported, and settling times are not waited for
	restoring bool      // as stopping, until FromDict has its answer
	answered  time.Time // when the last query succeeded
	outage    error     // the error of the last query; nil: it succeeded
	outages   int       // number of failed queries in a row
	last      element   // the first element that ended with a failure, or else the first that ended
}

// element is what is known about one element.
type element struct {
	state        JobState
	reason       string
	code         int
	signal       string
	missingSince time.Time
}

func newTracker(s *System, id, name string, n int, array bool) *tracker {
	t := &tracker{id: id, listedID: id, name: name, array: array, first: 1, done: make(chan struct{})}
	if t.unknownEnd = s.UnknownEnd; t.unknownEnd == "" {
		t.unknownEnd = "the system no longer knows it"
	}
	if s.ListedID != nil {
		t.listedID = s.ListedID(id)
	}
	if s.Dialect.FirstIndex != nil {
		t.first = *s.Dialect.FirstIndex
	}
	if !array {
		n = 1
	}
	t.elements = make([]element, n)
	for i := range t.elements {
		t.elements[i] = element{state: Unknown, code: -1}
	}
	t.left = n
	return t
}

// exit returns the sdk.Exit of an element that has ended.
func (e element) exit() sdk.Exit {
	x := sdk.Exit{Code: e.code, Signal: e.signal, Reason: e.reason}
	explained := e.state == Failed && (e.signal != "" || e.code > 0)
	switch {
	case e.state == Completed || x.Reason == "" && explained:
	case x.Reason == "":
		x.Reason = string(e.state)
	case e.state == Cancelled && !strings.Contains(strings.ToLower(x.Reason), "cancel"):
		x.Reason = string(Cancelled) + ": " + x.Reason // not every system uses this word
	}
	if e.state == Completed && e.code < 0 {
		x.Code = 0
	}
	if e.state != Completed && x.Code == 0 || x.Signal != "" {
		x.Code = -1
	}
	return x
}

// update takes the records about this job of a query that succeeded. It reports whether
// an element that had not ended is missing from them, so that Lookup may know more.
func (t *tracker) update(now time.Time, records []Record) (missing bool) {
	t.mu.Lock()
	recovered := t.outages >= outageReportAfter
	t.outage, t.outages, t.answered = nil, 0, now
	var ends []int
	var whole *Record
	seen := make([]bool, len(t.elements))
	for _, r := range records {
		if t.name != "" && r.Name != "" && !sameName(r.Name, t.name) {
			continue // another job has the id by now
		}
		t.seen = true
		if r.Index < 0 && t.array {
			whole = &r
			continue
		}
		i := 0
		if t.array {
			i = r.Index - t.first
		}
		if i < 0 || i >= len(t.elements) {
			continue
		}
		seen[i] = true
		if t.set(i, r) {
			ends = append(ends, i)
		}
	}
	for i := range t.elements {
		e := &t.elements[i]
		switch {
		case seen[i] || e.state.Ended():
		case whole != nil && whole.State != Running:
			if t.set(i, *whole) {
				ends = append(ends, i)
			}
		default:
			missing = true
			if e.missingSince.IsZero() {
				e.missingSince = now
			}
		}
	}
	t.mu.Unlock()
	t.reportEnds(ends)
	if recovered && t.onOutage != nil {
		t.onOutage("")
	}
	return missing
}

// set stores one record, and reports whether it says that the element has ended now.
// The caller must hold mu.
func (t *tracker) set(i int, r Record) bool {
	e := &t.elements[i]
	if e.state.Ended() {
		return false
	}
	*e = element{state: r.State, reason: r.Reason, code: r.Code, signal: r.Signal}
	if !r.State.Ended() {
		return false
	}
	t.countEnd(*e)
	return true
}

// countEnd counts an element that has ended. The caller must hold mu.
func (t *tracker) countEnd(e element) {
	t.left--
	if t.last.state == "" || t.last.state == Completed {
		t.last = e
	}
}

// resolveMissing takes the answer of lookup for the elements that update missed. If
// certain, elements that are still missing have ended, once they have been missing
// for the time settle; soon reports that an element has not been missing that long.
func (t *tracker) resolveMissing(now time.Time, records []Record, certain bool, settle time.Duration) (soon bool) {
	t.mu.Lock()
	var ends []int
	seen := make([]bool, len(t.elements))
	for _, r := range records {
		if t.name != "" && r.Name != "" && !sameName(r.Name, t.name) {
			continue
		}
		t.seen = true
		for i := range t.elements {
			switch {
			case !t.array:
			case r.Index >= 0 && r.Index != i+t.first:
				continue
			case r.Index < 0 && t.elements[i].missingSince.IsZero():
				continue
			}
			seen[i] = true
			if t.set(i, r) {
				ends = append(ends, i)
			}
		}
	}
	for i := range t.elements {
		e := &t.elements[i]
		if seen[i] || e.state.Ended() || e.missingSince.IsZero() || !certain {
			continue
		}
		since := e.missingSince
		if !t.seen && t.submitted.After(since) {
			since = t.submitted
		}
		if now.Sub(since) < settle && !t.stopping && !t.restoring {
			soon = true
			continue
		}
		reason := strings.ReplaceAll(t.unknownEnd, "{id}", t.id)
		if !t.seen {
			reason = "the system does not know it"
		}
		*e = element{state: Failed, reason: reason, code: -1}
		if t.stopping {
			e.state = Cancelled
		}
		t.countEnd(*e)
		ends = append(ends, i)
	}
	t.mu.Unlock()
	t.reportEnds(ends)
	return soon
}

// reportEnds reports elements that have ended, and closes done after the last.
func (t *tracker) reportEnds(ends []int) {
	if len(ends) == 0 {
		return
	}
	for _, i := range ends {
		t.mu.Lock()
		e, quiet := t.elements[i], t.stopping || t.restoring
		t.mu.Unlock()
		if !quiet && t.onElementEnd != nil {
			t.onElementEnd(i, e)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.left == 0 {
		close(t.done)
	}
}

// outageReportAfter is the number of queries in a row that fail before an outage is
// reported.
const outageReportAfter = 2

// fail records that a query failed. Nothing is concluded about the job.
func (t *tracker) fail(err error) {
	t.mu.Lock()
	t.outage = err
	t.outages++
	report := t.outages == outageReportAfter
	t.mu.Unlock()
	if report && t.onOutage != nil {
		t.onOutage(err.Error())
	}
}

// hasEnded reports whether all elements have ended.
func (t *tracker) hasEnded() bool {
	select {
	case <-t.done:
		return true
	default:
		return false
	}
}

// elementCount returns the number of elements.
func (t *tracker) elementCount() int { return len(t.elements) }

// counts counts elements by state.
func (t *tracker) counts() map[JobState]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := map[JobState]int{}
	for _, e := range t.elements {
		n[e.state]++
	}
	return n
}

// summary returns a line about the states of the elements, with their reasons.
func (t *tracker) summary() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var parts []string
	count := map[string]int{}
	var keys []string
	for _, e := range t.elements {
		key := string(e.state)
		if e.reason != "" && e.state != Completed {
			key += " (" + e.reason + ")"
		}
		if count[key]++; count[key] == 1 {
			keys = append(keys, key)
		}
	}
	for _, key := range keys {
		if len(t.elements) == 1 {
			parts = append(parts, key)
		} else {
			parts = append(parts, fmt.Sprintf("%d %s", count[key], key))
		}
	}
	return "job " + t.id + ": " + strings.Join(parts, ", ")
}

// sameName reports whether a listed name, which the system may have cut, is that of a
// job.
func sameName(listed, whole string) bool {
	return listed == whole || len(listed) >= 10 && strings.HasPrefix(whole, listed)
}
