package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Harness is a controller with a client and engines.
type Harness struct {
	*Controller
	Client  *Client
	Engines Engines

	targets   []string // engines' uuids
	completed int      // requests that the hub's books had finished at last
}

// Registered is how engines came in.
type Registered struct {
	Announced time.Duration // from the first connect until the client knew all
	Executed  time.Duration // until all had executed a request
	InOrder   bool          // ids were announced in ascending order
}

// NewHarness connects a client to a controller, then n engines, and has each
// engine execute a request as soon as it is announced.
func NewHarness(ctx context.Context, c *Controller, n int) (*Harness, Registered, error) {
	r := &Harness{Controller: c}
	var err error
	if r.Client, err = NewClient(ctx, c.Client); err != nil {
		return nil, Registered{}, err
	}
	if err := c.findProcesses(); err != nil { // it may have started more by now
		r.Close()
		return nil, Registered{}, err
	}
	result, err := r.startEngines(ctx, n)
	if err != nil {
		r.Close()
		return nil, Registered{}, err
	}
	return r, result, nil
}

// Close ends client and engines; the controller keeps running.
func (r *Harness) Close() {
	r.Engines.Close()
	r.Client.Close()
}

// populate starts engines. A request that a libzmq ROUTER drops because the
// engine's connection is not there yet is repeated.
func (r *Harness) startEngines(ctx context.Context, n int) (Registered, error) {
	var result Registered
	began := time.Now()
	first := &readiness{r: r, n: n, began: began, replied: map[string]bool{}, all: make(chan struct{}), last: -1}
	told := first.announced
	r.Client.announced.Store(&told)
	defer r.Client.announced.Store(nil)
	l := &load{onReply: first.answered}
	r.Client.load.Store(l)
	defer r.Client.load.Store(nil)

	engines, err := StartEngines(ctx, r.Engine, n)
	if err != nil {
		return result, err
	}
	r.Engines = engines
	for _, e := range engines {
		r.targets = append(r.targets, e.UUID)
		if e.ID < 0 {
			first.announced(-1, e.UUID)
		}
	}
	pause := time.Second
	if r.Controller.Client.Registration == 0 { // no hub announces the engines
		pause = 100 * time.Millisecond
	}
	repeat := time.NewTicker(pause)
	defer repeat.Stop()
	for {
		select {
		case <-first.all:
			result.Announced, result.InOrder = first.announcedAt, !first.disorder
			result.Executed = time.Since(began)
			r.completed = n
			return result, nil
		case <-repeat.C:
			if err := first.repeat(); err != nil {
				return result, err
			}
		case <-ctx.Done():
			return result, fmt.Errorf("engines not ready: %d announced, %d have executed a request: %w", first.known(), first.answers(), ctx.Err())
		}
	}
}

// readiness sends each engine its first request when it is announced.
type readiness struct {
	r     *Harness
	n     int
	began time.Time
	all   chan struct{} // closed when all have replied

	mu          sync.Mutex
	order       []string
	last        int
	disorder    bool
	replied     map[string]bool
	announcedAt time.Duration
}

func (g *readiness) announced(id int, uuid string) {
	g.mu.Lock()
	g.disorder = g.disorder || id < g.last
	g.last = id
	g.order = append(g.order, uuid)
	if len(g.order) == g.n {
		g.announcedAt = time.Since(g.began)
	}
	g.mu.Unlock()
	_ = g.send(uuid) // repeated, and reported then
}

func (g *readiness) send(uuid string) error {
	m, err := g.r.Client.session.Message("apply_request", nil, muxMetadata, nil, smallApply...)
	if err != nil {
		return err
	}
	m.Idents = [][]byte{[]byte(uuid)}
	return g.r.Client.mux.Send(m.AppendFrames(nil)...)
}

func (g *readiness) answered(frames [][]byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	uuid := string(frames[0])
	if g.replied[uuid] {
		return
	}
	g.replied[uuid] = true
	if len(g.replied) == g.n {
		close(g.all)
	}
}

func (g *readiness) known() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.order)
}

func (g *readiness) answers() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.replied)
}

// repeat asks those again that have not replied.
func (g *readiness) repeat() error {
	g.mu.Lock()
	var silent []string
	for _, uuid := range g.order {
		if !g.replied[uuid] {
			silent = append(silent, uuid)
		}
	}
	g.mu.Unlock()
	for _, uuid := range silent {
		if err := g.send(uuid); err != nil {
			return err
		}
	}
	return nil
}

// Rate is the cost of a load.
type Rate struct {
	*Result
	PerSecond float64       // until the last reply
	Recorded  float64       // tasks/s until the hub's books had all; 0 without a hub
	CPU       time.Duration // of the controller for each task, its records included
	Kept      int           // records in the database at the end
}

// Tasks sends n no-op tasks through the task queue.
func (r *Harness) Tasks(ctx context.Context, n, window int) (*Rate, error) {
	return r.measure(ctx, Load{Tasks: n, Window: window})
}

// Mux sends n no-op requests through mux, to the engines in turn.
func (r *Harness) Mux(ctx context.Context, n, window int) (*Rate, error) {
	return r.measure(ctx, Load{Tasks: n, Window: window, Targets: r.targets})
}

// Large sends n requests with a buffer of size bytes, which comes back, to one
// engine through mux.
func (r *Harness) Large(ctx context.Context, n, size int) (*Rate, error) {
	return r.measure(ctx, Load{Tasks: n, Window: 2, Targets: r.targets[:1], Buffers: [][]byte{make([]byte, size)}})
}

func (r *Harness) measure(ctx context.Context, l Load) (*Rate, error) {
	before, err := r.CPU()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	o, err := r.Client.Run(ctx, l)
	if err != nil {
		return nil, err
	}
	rate := &Rate{Result: o, PerSecond: float64(l.Tasks) / o.Elapsed.Seconds()}
	if r.Controller.Client.Registration != 0 {
		if rate.Kept, err = r.awaitRecords(ctx, l.Tasks); err != nil {
			return nil, err
		}
		rate.Recorded = float64(l.Tasks) / time.Since(began).Seconds()
	}
	after, err := r.CPU()
	if err != nil {
		return nil, err
	}
	rate.CPU = (after - before) / time.Duration(l.Tasks)
	return rate, nil
}

// settle waits until the hub's books have n more requests, and returns how many
// records there are.
func (r *Harness) awaitRecords(ctx context.Context, n int) (int, error) {
	want := r.completed + n
	for {
		done, err := r.Client.Completed(ctx)
		if err != nil {
			return 0, err
		}
		if done >= want {
			r.completed = done
			return r.Client.History(ctx)
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("the hub has recorded %d of %d: %w", done, want, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Questions are what the hub is asked in a loop.
type Questions struct {
	Kind    string
	Content any
}

// EverythingEver asks for all records.
var EverythingEver = Questions{"db_request", map[string]any{"query": map[string]any{}, "keys": nil}}

// QueueStatus asks for the state of all engines' queues.
var QueueStatus = Questions{"queue_request", map[string]any{"targets": nil, "verbose": false}}

// Latency runs n tasks one at a time through the task queue, while the hub is
// asked questions in a loop, if there are any. asked counts the answers.
func (r *Harness) Latency(ctx context.Context, n int, questions ...Questions) (rate *Rate, asked int, err error) {
	asking, stop := context.WithCancel(ctx)
	defer stop()
	counts := make(chan int)
	for _, q := range questions {
		if _, err := r.Client.Ask(ctx, q.Kind, q.Content); err != nil {
			return nil, 0, err
		}
		asked++
	}
	for _, q := range questions {
		go func() {
			i := 0
			for ; ; i++ {
				if _, err := r.Client.Ask(asking, q.Kind, q.Content); err != nil {
					break // the end: it was answered before
				}
			}
			counts <- i
		}()
	}
	o, err := r.Client.Run(ctx, Load{Tasks: n, Window: 1})
	stop()
	for range questions {
		asked += <-counts
	}
	if err != nil {
		return nil, 0, err
	}
	_, err = r.awaitRecords(ctx, n)
	return &Rate{Result: o, PerSecond: float64(n) / o.Elapsed.Seconds()}, asked, err
}

// Broadcast sends one no-op to all engines n times and returns how long each
// took, sorted.
func (r *Harness) Broadcast(ctx context.Context, n int, coalescing bool) ([]time.Duration, error) {
	targets := make([][2]any, len(r.Engines))
	for i, e := range r.Engines {
		targets[i] = [2]any{e.UUID, e.ID}
	}
	replies := len(targets)
	if coalescing {
		replies = 1
	}
	metadata := map[string]any{"targets": targets, "is_broadcast": true, "is_coalescing": coalescing}
	var took []time.Duration
	for range n {
		left := replies
		end := make(chan struct{})
		r.Client.load.Store(&load{onReply: func([][]byte) {
			if left--; left == 0 {
				close(end)
			}
		}})
		m, err := r.Client.session.Message("apply_request", nil, metadata, nil, smallApply...)
		if err != nil {
			return nil, err
		}
		began := time.Now()
		if err := r.Client.bcast.Send(m.AppendFrames(nil)...); err != nil {
			return nil, err
		}
		select {
		case <-end:
			took = append(took, time.Since(began))
		case <-ctx.Done():
			r.Client.load.Store(nil)
			return nil, fmt.Errorf("broadcast: not all replies came: %w", ctx.Err())
		}
	}
	r.Client.load.Store(nil)
	slices.Sort(took)
	return took, r.recount(ctx)
}

// recount takes what the hub has finished as the new start: of broadcasts it
// may or may not keep books.
func (r *Harness) recount(ctx context.Context) error {
	for {
		first, err := r.Client.Completed(ctx)
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
		if r.completed, err = r.Client.Completed(ctx); err != nil || r.completed == first {
			return err
		}
	}
}

// Life is what a controller alone takes.
type Life struct {
	Answered  time.Duration // from its start until a client was answered
	Stopped   time.Duration // from the signal until all processes had ended
	Memory    Memory
	Processes int
}

// MeasureLife starts a controller, asks it once, and stops it.
func MeasureLife(ctx context.Context, command ...string) (life Life, err error) {
	began := time.Now()
	c, err := Start(ctx, command...)
	if err != nil {
		return life, err
	}
	client, err := NewClient(ctx, c.Client)
	life.Answered = time.Since(began)
	if err != nil {
		return life, errors.Join(err, c.Stop(ctx))
	}
	client.Close()
	if err = c.findProcesses(); err == nil {
		life.Processes = len(c.PIDs)
		life.Memory, err = c.Memory()
	}
	began = time.Now()
	stopErr := c.Stop(ctx)
	life.Stopped = time.Since(began)
	return life, errors.Join(err, stopErr)
}
