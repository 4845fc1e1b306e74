package batch

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/ipcore/ipcore/sdk"
)

// tracker is what is known of one submitted job: its elements, and how each
// ended. An element is one engine of an array; a job that is no array has one.
type tracker struct {
	id         string // as submitted
	listedID   string // the id that the system lists it under
	name       string // "" when it was not told
	unknownEnd string // see System
	array      bool
	first      int // index of the first element, as the system counts

	submitted    time.Time                  // zero: by an earlier process
	onElementEnd func(index int, e element) // told once for each element, outside of mu
	onOutage     func(text string)          // outages, outside of mu

	done chan struct{} // closed when all elements have ended

	mu        sync.Mutex
	elements  []element
	left      int       // elements that have not ended
	seen      bool      // the system has shown it
	stopping  bool      // ends are not told, and come sooner
	restoring bool      // the same, until FromDict has its answer
	answered  time.Time // of the last good answer
	outage    error     // nil: the last query was good
	outages   int       // in a row
	last      element   // how the first element that did not end well ended, or any
}

// element is what is known of one element.
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

// exit makes a launcher's exit of an element that has ended.
func (e element) exit() sdk.Exit {
	x := sdk.Exit{Code: e.code, Signal: e.signal, Reason: e.reason}
	told := e.state == Failed && (e.signal != "" || e.code > 0)
	switch {
	case e.state == Completed || x.Reason == "" && told:
	case x.Reason == "":
		x.Reason = string(e.state)
	case e.state == Cancelled && !strings.Contains(strings.ToLower(x.Reason), "cancel"):
		x.Reason = string(Cancelled) + ": " + x.Reason // not every system says it in this word
	}
	if e.state == Completed && e.code < 0 {
		x.Code = 0
	}
	if e.state != Completed && x.Code == 0 || x.Signal != "" {
		x.Code = -1
	}
	return x
}

// update takes what a good answer says of this job. It answers whether something
// that had not ended is not in it, so that Lookup is worth asking.
func (t *tracker) update(now time.Time, records []Record) (missing bool) {
	t.mu.Lock()
	back := t.outages >= outageReportAfter
	t.outage, t.outages, t.answered = nil, 0, now
	var ends []int
	var whole *Record
	told := make([]bool, len(t.elements))
	for _, r := range records {
		if t.name != "" && r.Name != "" && !sameName(r.Name, t.name) {
			continue // another job has this id now
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
		told[i] = true
		if t.set(i, r) {
			ends = append(ends, i)
		}
	}
	for i := range t.elements {
		e := &t.elements[i]
		switch {
		case told[i] || e.state.Ended():
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
	if back && t.onOutage != nil {
		t.onOutage("")
	}
	return missing
}

// set takes one record, and tells whether the element has ended by it. The caller
// holds mu.
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

// ends counts an element that has ended. The caller holds mu.
func (t *tracker) countEnd(e element) {
	t.left--
	if t.last.state == "" || t.last.state == Completed {
		t.last = e
	}
}

// settle takes Lookup's answer: records, and certain when the system has said
// that it knows nothing else. What is then still missing has ended, once the
// times to settle are over; soon tells that one of them is not.
func (t *tracker) resolveMissing(now time.Time, records []Record, certain bool, settle time.Duration) (soon bool) {
	t.mu.Lock()
	var ends []int
	told := make([]bool, len(t.elements))
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
			told[i] = true
			if t.set(i, r) {
				ends = append(ends, i)
			}
		}
	}
	for i := range t.elements {
		e := &t.elements[i]
		if told[i] || e.state.Ended() || e.missingSince.IsZero() || !certain {
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

// tell tells of elements that have ended, and of the end of all.
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

// tellAfter is how many queries in a row have to fail before it is told.
const outageReportAfter = 2

// fail takes the failure of a query. Nothing is concluded about the job.
func (t *tracker) fail(err error) {
	t.mu.Lock()
	t.outage = err
	t.outages++
	tell := t.outages == outageReportAfter
	t.mu.Unlock()
	if tell && t.onOutage != nil {
		t.onOutage(err.Error())
	}
}

// over tells whether all elements have ended.
func (t *tracker) hasEnded() bool {
	select {
	case <-t.done:
		return true
	default:
		return false
	}
}

// elementCount answers how many elements there are.
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

// text says in a line what is known, with the reasons for waiting.
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

// sameName compares a listed name, which the system may have cut.
func sameName(listed, whole string) bool {
	return listed == whole || len(listed) >= 10 && strings.HasPrefix(whole, listed)
}
