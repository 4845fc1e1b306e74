package batch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ipcore/ipcore/sdk"
)

const (
	minSpacing = time.Second      // between the beginnings of two queries
	maxBackOff = 30 * time.Second // between queries while the system is down
)

// pool contains one poller for each status command in use; nearly always there is one
// in a process.
type pool struct {
	mu      sync.Mutex
	pollers map[string]*poller
}

// poller queries the status of all jobs of this process at once, at intervals. Its
// goroutine runs while there are jobs.
type poller struct {
	system   *System
	interval time.Duration
	spacing  time.Duration // between the beginnings of two queries
	limit    time.Duration // of one command

	mu         sync.Mutex
	jobs       map[*tracker]bool
	loop       *loop
	started    uint64        // number of queries that have begun
	finished   uint64        // number of queries that have ended
	wanted     uint64        // number of the latest query that a caller waits for
	queryEnded chan struct{} // closed and replaced when a query ends
	lastErr    error         // of the last query
	failures   int           // of queries, in a row
	pollSoon   bool          // a job ended just now, and the system may soon report how
	lastBegan  time.Time     // when the last query began
	lastEnded  time.Time     // when the last query ended
}

// loop is one run of a poller's goroutine.
type loop struct {
	cancel context.CancelFunc
	wake   chan struct{} // capacity 1
	ended  chan struct{}
}

// get returns the poller for a system with these settings.
func (p *pool) get(s *System, o *Settings) *poller {
	key := fmt.Sprintf("%q %q %q %v %v", s.Query, s.Lookup, s.Delete, o.interval(), o.commandLimit())
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pollers == nil {
		p.pollers = make(map[string]*poller)
	}
	if p.pollers[key] == nil {
		created := &poller{system: s, interval: o.interval(), spacing: minSpacing, limit: o.commandLimit(), jobs: map[*tracker]bool{}, queryEnded: make(chan struct{})}
		if s.tick > 0 {
			created.interval, created.spacing = s.tick, s.tick
		}
		p.pollers[key] = created
	}
	return p.pollers[key]
}

// add adds a job to the queries.
func (p *poller) add(t *tracker) {
	if len(p.system.Query) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.jobs[t] = true
	if p.loop == nil {
		ctx, cancel := context.WithCancel(context.Background())
		p.loop = &loop{cancel: cancel, wake: make(chan struct{}, 1), ended: make(chan struct{})}
		go p.run(ctx, p.loop) // ends with the last job; remove waits for it
	}
}

// remove removes a job from the queries. After the last job it waits for the goroutine.
func (p *poller) remove(t *tracker) {
	p.mu.Lock()
	delete(p.jobs, t)
	l := p.loop
	if len(p.jobs) > 0 || l == nil {
		p.mu.Unlock()
		return
	}
	p.loop = nil
	p.mu.Unlock()
	l.cancel()
	<-l.ended
}

// run queries until no job is left.
func (p *poller) run(ctx context.Context, l *loop) {
	defer close(l.ended)
	defer l.cancel()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		wait, ok := p.next(l)
		if !ok {
			return
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
			continue // a caller waits: the next query may be due earlier
		case <-timer.C:
		}
		p.poll(ctx)
	}
}

// next returns how long to wait before the next query, or false when no job is left.
func (p *poller) next(l *loop) (time.Duration, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for t := range p.jobs {
		if t.hasEnded() {
			delete(p.jobs, t)
		}
	}
	if p.loop != l {
		return 0, false
	}
	if len(p.jobs) == 0 {
		p.loop = nil
		return 0, false
	}
	due := p.lastBegan.Add(p.interval)
	if p.failures > 0 {
		due = p.lastEnded.Add(min(maxBackOff, p.interval<<min(p.failures-1, 10)))
	}
	if p.wanted > p.finished || p.pollSoon {
		due = p.lastBegan.Add(p.spacing)
		if p.failures > 0 {
			due = p.lastEnded.Add(p.spacing << min(p.failures, 2))
		}
	}
	return max(0, time.Until(due)), true
}

// poll runs one query and passes each job its records.
func (p *poller) poll(ctx context.Context) {
	p.mu.Lock()
	p.started++
	p.lastBegan = time.Now()
	var jobs []*tracker
	var ids []string
	for t := range p.jobs {
		jobs = append(jobs, t)
		ids = append(ids, t.id)
	}
	p.mu.Unlock()
	slices.Sort(ids)

	records, err := p.system.query(ctx, p.system.Query, slices.Compact(ids), p.limit)
	if ctx.Err() != nil {
		return
	}
	now, soon := time.Now(), false
	if err != nil {
		for _, t := range jobs {
			t.fail(err)
		}
	} else {
		by := make(map[string][]Record, len(jobs))
		for _, r := range records {
			by[r.ID] = append(by[r.ID], r)
		}
		for _, t := range jobs {
			if t.update(now, by[t.listedID]) {
				found, certain := p.system.lookup(ctx, t.id, p.limit)
				// A query that lists a part of a job lists every part that has not ended.
				certain = certain || len(by[t.listedID]) > 0
				soon = t.resolveMissing(now, found, certain, p.system.settleTime()) || soon
			}
		}
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	p.finished, p.lastErr, p.lastEnded, p.pollSoon = p.started, err, time.Now(), soon
	if p.failures++; err == nil {
		p.failures = 0
	}
	close(p.queryEnded)
	p.queryEnded = make(chan struct{})
}

// refresh waits for a query that begins after the call, and returns its error. Callers
// that wait at the same time share one query.
func (p *poller) refresh(ctx context.Context) error {
	p.mu.Lock()
	want := p.started + 1
	for {
		if p.finished >= want {
			defer p.mu.Unlock()
			return p.lastErr
		}
		if p.loop == nil {
			p.mu.Unlock()
			return nil // all jobs have ended
		}
		p.wanted = max(p.wanted, want)
		more, wake := p.queryEnded, p.loop.wake
		ended := p.loop.ended
		p.mu.Unlock()
		select {
		case wake <- struct{}{}:
		default:
		}
		select {
		case <-more:
		case <-ended:
		case <-ctx.Done():
			return ctx.Err()
		}
		p.mu.Lock()
	}
}

// ensureFresh returns when the last query that included the job is not older than age.
func (p *poller) ensureFresh(ctx context.Context, t *tracker, age time.Duration) error {
	p.mu.Lock()
	replied, err := p.lastEnded, p.lastErr
	p.mu.Unlock()
	t.mu.Lock()
	asked := !t.answered.IsZero() || t.outage != nil
	t.mu.Unlock()
	if asked && time.Since(replied) < age {
		return err
	}
	return p.refresh(ctx)
}

// query runs a status command and parses its output.
func (s *System) query(ctx context.Context, words, ids []string, limit time.Duration) ([]Record, error) {
	out, _, err := s.run(ctx, command{words: s.expand(words, ids, ""), option: "status_command", limit: limit})
	var f *commandError
	if errors.As(err, &f) && (f.gone || f.ended) {
		// Some systems fail at a job that they don't know and do not list those after it;
		// the jobs that were listed before are valid.
		out, err = f.stdout, nil
	}
	if err != nil {
		return nil, err
	}
	records, err := s.Parse([]byte(out))
	if err != nil {
		return nil, fmt.Errorf("the output of %s can't be parsed: %w", words[0], err)
	}
	return records, nil
}

// lookup runs the Lookup commands for one job that the status command did not list.
// certain says that every element that is not in records has ended. When a command
// does not know the job, that counts only for the last of several commands.
func (s *System) lookup(ctx context.Context, id string, limit time.Duration) (records []Record, certain bool) {
	if len(s.Lookup) == 0 {
		// There is only the status command, and it succeeded.
		return nil, true
	}
	certain = s.QueryIsComplete
	for i, words := range s.Lookup {
		out, _, err := s.run(ctx, command{words: s.expand(words, nil, id), option: "status_command", limit: limit})
		var f *commandError
		switch {
		case errors.As(err, &f) && (f.gone || f.ended):
			certain = certain || i == len(s.Lookup)-1
		case err != nil || s.ParseLookup == nil:
		default:
			found, err := s.ParseLookup(i, id, []byte(out))
			if err == nil && len(found) > 0 {
				records = append(records, found...)
				certain = true
			}
		}
		if len(records) > 0 {
			return records, true
		}
	}
	return records, certain
}

// expand replaces the fields of a command.
func (s *System) expand(words, ids []string, id string) []string {
	user, uid := whoami()
	var all []string
	for _, w := range words {
		switch {
		case w == "{ids}" && s.IDSeparator == "":
			all = append(all, ids...)
		default:
			all = append(all, strings.NewReplacer("{ids}", strings.Join(ids, s.IDSeparator), "{id}", id, "{user}", user, "{uid}", uid).Replace(w))
		}
	}
	return all
}

// unreachable returns the error for a query that failed with err.
func (s *System) unreachable(err error) error {
	if errors.Is(err, sdk.ErrBadOption) {
		return err
	}
	return fmt.Errorf("%w: %s can't be queried: %w", sdk.ErrUnknownStatus, s.Title, err)
}
