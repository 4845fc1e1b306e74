package load

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/ipcore/ipcore/core/sockets"
)

// Load is a stream of requests of which a bounded number is under way.
type Load struct {
	Tasks   int
	Window  int      // under way at most
	Targets []string // engines of direct requests, in turn; none: the task queue
	Buffers [][]byte // nil: those of a small apply
}

// Result is what the client measured of a Load.
type Result struct {
	Tasks   int
	Elapsed time.Duration
	// Latencies are sorted. They are recorded only when Window is 1.
	Latencies []time.Duration
}

// Quantile returns a quantile of the latencies.
func (o *Result) Quantile(q float64) time.Duration {
	if len(o.Latencies) == 0 {
		return 0
	}
	return o.Latencies[int(q*float64(len(o.Latencies)-1))]
}

// load is a Load that runs. The goroutine that reads replies sends what follows.
type load struct {
	Load
	c      *Client
	socket *sockets.Socket
	sent   atomic.Int64
	done   atomic.Int64
	failed atomic.Int64
	last   time.Time // of the request under way, when Window is 1
	took   []time.Duration
	end    chan error

	onReply func(frames [][]byte) // takes all replies, if there
}

var (
	taskMetadata = json.RawMessage(`{"after": [], "follow": [], "timeout": 0, "targets": [], "retries": 0, "label": null}`)
	muxMetadata  = json.RawMessage(`{"label": null}`)
	// smallApply has the sizes of a Python client's no-op: the function, the
	// counts of its arguments.
	smallApply = [][]byte{slices.Repeat([]byte("f"), 560), slices.Repeat([]byte("n"), 44)}
)

// Run sends a load and waits for all replies. One load runs at a time.
func (c *Client) Run(ctx context.Context, what Load) (*Result, error) {
	l := &load{Load: what, c: c, socket: c.task, end: make(chan error, 1)}
	if len(l.Targets) > 0 {
		l.socket = c.mux
	}
	if l.Buffers == nil {
		l.Buffers = smallApply
	}
	if l.Window == 1 {
		l.took = make([]time.Duration, 0, l.Tasks)
	}
	c.load.Store(l)
	defer c.load.Store(nil)
	began := time.Now()
	l.last = began
	for range min(l.Window, l.Tasks) {
		l.next()
	}
	sockets.FlushAll()
	select {
	case err := <-l.end:
		if err != nil {
			return nil, err
		}
	case <-ctx.Done():
		return nil, fmt.Errorf("%d of %d replies came: %w", l.done.Load(), l.Tasks, ctx.Err())
	}
	o := &Result{Tasks: l.Tasks, Elapsed: time.Since(began), Latencies: l.took}
	if n := l.failed.Load(); n > 0 {
		return nil, fmt.Errorf("%d of %d tasks failed", n, l.Tasks)
	}
	slices.Sort(o.Latencies)
	return o, nil
}

// next sends one more request.
func (l *load) next() {
	i := int(l.sent.Add(1)) - 1
	if i >= l.Tasks {
		return
	}
	metadata := taskMetadata
	var target string
	if len(l.Targets) > 0 {
		metadata, target = muxMetadata, l.Targets[i%len(l.Targets)]
	}
	m, err := l.c.session.Message("apply_request", nil, metadata, nil, l.Buffers...)
	if err == nil {
		if target != "" {
			m.Idents = [][]byte{[]byte(target)}
		}
		err = l.socket.Enqueue(m.AppendFrames(make([][]byte, 0, 12))...)
	}
	if err != nil {
		l.finish(fmt.Errorf("request not sent: %w", err))
	}
}

// reply takes a reply in: an engine's has its uuid before the delimiter.
func (l *load) reply(frames [][]byte) {
	if l.onReply != nil {
		l.onReply(frames)
		return
	}
	if len(frames) < 7 || len(frames[0]) < 10 {
		l.failed.Add(1)
	}
	if l.Window == 1 {
		now := time.Now()
		l.took = append(l.took, now.Sub(l.last))
		l.last = now
	}
	if int(l.done.Add(1)) == l.Tasks {
		l.finish(nil)
		return
	}
	l.next()
}

func (l *load) finish(err error) {
	select {
	case l.end <- err:
	default:
	}
}
