package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ipcore/ipcore/core/launch/plugin"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/sdk"
)

// reopenPause is the wait before another try when a plugin that died can't be
// opened again; it doubles up to maxReopenPause.
const (
	reopenPause    = time.Second
	maxReopenPause = time.Minute
)

// startLimit is how long a launcher may take to accept a workload; startGrace is
// how long its Start may go on when it is not wanted any more.
const (
	startTimeout = time.Minute
	startGrace   = 10 * time.Second
)

// unit is one launched thing of a cluster: the controller, or one engine set.
// Its watch goroutine follows the launcher's events until the end, through as
// many plugin processes as it takes.
type workload struct {
	kind    sdk.Kind
	id      string
	process *pluginProcess
	log     hclog.Logger
	changed func(*workload) // after state or alive changed, and after the end

	// recovering is held while a new plugin process takes the unit up. It comes
	// before mu and before host.mu.
	recovering sync.Mutex

	mu       sync.Mutex
	handle   *plugin.Workload
	plugin   *plugin.Plugin // that launcher belongs to
	seq      uint64         // the last event taken from that plugin
	state    sdk.State
	watched  bool // watch was started
	alive    int  // processes that have not ended
	exit     Exit
	output   string
	died     []sdk.Event // engines that ended, in order
	status   *sdk.Status // what the launcher said last; nil before
	stopping bool        // stop was called

	statusInterval time.Duration  // between two questions for the status
	statusWanted   chan struct{}  // holds one when the status is wanted at once
	pollers        sync.WaitGroup // poll

	updates   chan struct{} // holds one when alive has changed
	ended     chan struct{} // closed by watch when all of it has ended
	watchDone chan struct{} // closed when watch has returned
}

func (c *Cluster) newWorkload(kind sdk.Kind, id string, h *pluginProcess) *workload {
	return &workload{
		kind: kind, id: id, process: h, log: c.log, changed: c.save, statusInterval: c.opts.statusInterval, statusWanted: make(chan struct{}, 1),
		updates: make(chan struct{}, 1), ended: make(chan struct{}), watchDone: make(chan struct{}),
	}
}

// start asks the launcher for the workload and begins to watch it; watching
// ends with the workload or with watchCtx.
func (w *workload) start(ctx, watchCtx context.Context, r sdk.StartRequest) error {
	ctx, cancelStart := context.WithTimeout(ctx, startTimeout)
	defer cancelStart()
	p, err := w.process.running(ctx)
	if err != nil {
		return err
	}
	handle := p.Workload(w.kind, w.id)
	// A call that is cancelled half-way leaves open whether anything was started:
	// the answer is waited for, and what was started is then stopped.
	patient, cancel := outlive(ctx, startGrace)
	defer cancel()
	state, err := handle.Start(patient, r)
	if err != nil {
		return err
	}
	w.mu.Lock()
	w.handle, w.plugin, w.state, w.watched = handle, p, state, true
	w.alive = 1
	if r.N != nil {
		w.alive = *r.N
	}
	w.mu.Unlock()
	w.changed(w)
	go w.watch(watchCtx)
	w.pollers.Go(func() { w.poll(watchCtx) })
	return ctx.Err()
}

// outlive answers a context that ends a while after ctx does.
func outlive(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(d, cancel) })
	return longer, func() { stop(); cancel() }
}

// adopt takes up a workload that another process started, from its state.
// sdk.ErrNotRunning: it has ended. Watching begins with success.
func (w *workload) adopt(ctx, watchCtx context.Context, state sdk.State, alive int) error {
	w.mu.Lock()
	w.state, w.alive = state, alive
	w.mu.Unlock()
	if _, err := w.current(ctx); err != nil {
		return err
	}
	w.mu.Lock()
	w.watched = true
	w.mu.Unlock()
	go w.watch(watchCtx)
	w.pollers.Go(func() { w.poll(watchCtx) })
	return nil
}

// current answers the launcher in a plugin process that lives, after making a
// new one take the unit up where that is needed.
func (w *workload) current(ctx context.Context) (*plugin.Workload, error) {
	w.recovering.Lock()
	defer w.recovering.Unlock()
	p, err := w.process.running(ctx)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	handle, state := w.handle, w.state
	known := handle != nil && w.plugin == p
	w.mu.Unlock()
	if known {
		return handle, nil
	}
	handle = p.Workload(w.kind, w.id)
	state, err = handle.FromDict(ctx, state)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	w.handle, w.plugin, w.state, w.seq = handle, p, state, 0
	w.mu.Unlock()
	w.changed(w)
	return handle, nil
}

// recount asks how many processes of the unit run or wait, where the launcher
// can tell.
func (w *workload) updateAlive(ctx context.Context) {
	if !w.process.executable.Info.Has(sdk.CapabilityStatus) {
		return
	}
	if err := w.takeStatus(ctx); err != nil {
		return // watch meets it as well, and tells
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if st := w.status; st.Running != nil {
		w.alive = *st.Running
		if st.Pending != nil {
			w.alive += *st.Pending
		}
	}
}

// watch follows the unit until it has ended or ctx ends. It owns ended and gone.
func (w *workload) watch(ctx context.Context) {
	defer close(w.watchDone)
	pause := reopenPause
	for {
		began := time.Now()
		handle, err := w.current(ctx)
		if err == nil {
			err = w.follow(ctx, handle)
		}
		if time.Since(began) > maxReopenPause {
			pause = reopenPause // it went well for long
		}
		switch {
		case err == nil:
			w.logEnd()
			close(w.ended)
			w.changed(w)
			return
		case ctx.Err() != nil:
			return
		case errors.Is(err, sdk.ErrNotRunning):
			w.mu.Lock()
			w.alive, w.exit = 0, Exit{Code: -1}
			w.mu.Unlock()
			w.logEnd()
			close(w.ended)
			w.changed(w)
			return
		case errors.Is(err, sdk.ErrPluginGone) && time.Since(began) > pause:
			w.log.Warn("the launcher plugin has ended; its work goes on and a new one takes over", "launcher", w.process.executable.Name, "unit", w.id)
			continue
		}
		w.log.Error("lost sight of a part of the cluster", "launcher", w.process.executable.Name, "unit", w.id, "error", err, "again_in", pause)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, maxReopenPause)
	}
}

// follow reads the unit's events. Nil means that all of it has ended.
func (w *workload) follow(ctx context.Context, handle *plugin.Workload) error {
	w.mu.Lock()
	after := w.seq
	w.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events := handle.Events(ctx, after)
	stopped := false
	for e := range events.C {
		w.mu.Lock()
		w.seq = e.Seq
		w.mu.Unlock()
		switch e.Kind {
		case sdk.EventChanged:
			w.handleChange(ctx, handle, e)
		case sdk.EventStopped:
			w.mu.Lock()
			w.alive = 0
			w.exit, w.output = exitOf(e.Exit), e.Text
			w.mu.Unlock()
			stopped = true
		case sdk.EventRunning:
		}
	}
	switch {
	case stopped:
		return nil
	case events.Err() == nil:
		return errors.New("the events ended without telling of the end")
	}
	return events.Err()
}

// change takes in that a part of the unit changed: mostly an engine that ended.
func (w *workload) handleChange(ctx context.Context, handle *plugin.Workload, e sdk.Event) {
	w.mu.Lock()
	if e.Index >= 0 && w.alive > 0 {
		w.alive--
		w.died = append(w.died, e)
	}
	w.mu.Unlock()
	if e.Index >= 0 {
		w.log.Warn("an engine has ended", "set", w.id, "index", e.Index, "cause", exitOf(e.Exit).String())
	} else {
		w.log.Info("a part of the cluster has changed", "unit", w.id, "text", e.Text)
	}
	if err := w.takeState(ctx, handle); err != nil && !errors.Is(err, sdk.ErrPluginGone) && ctx.Err() == nil {
		w.log.Error("the launcher does not tell its state", "unit", w.id, "error", err)
	}
	w.notify()
}

// takeState asks the launcher for its state.
func (w *workload) takeState(ctx context.Context, handle *plugin.Workload) error {
	state, err := handle.ToDict(ctx)
	if err != nil {
		return err
	}
	w.mu.Lock()
	w.state = state
	w.mu.Unlock()
	return nil
}

// tell lets everybody know that state, alive or status has changed.
func (w *workload) notify() {
	w.changed(w)
	select {
	case w.updates <- struct{}{}:
	default:
	}
}

// logEnd tells of the end of an engine set that nobody stopped.
func (w *workload) logEnd() {
	end := w.endRecord()
	w.mu.Lock()
	expected := w.stopping || w.kind == sdk.Controller || w.exit == Exit{}
	w.mu.Unlock()
	if expected {
		return
	}
	w.log.Warn("all engines of a set have ended", "set", w.id, "launcher", w.process.executable.Name, "cause", end.Cause)
}

// stop ends the workload; that it had ended already is success.
func (w *workload) stop(ctx context.Context) error {
	if !w.isWatched() {
		return nil // a Start that failed leaves nothing
	}
	w.mu.Lock()
	w.stopping = true
	w.mu.Unlock()
	for {
		select {
		case <-w.ended:
			return nil
		default:
		}
		handle, err := w.current(ctx)
		if err == nil {
			err = handle.Stop(ctx)
		}
		switch {
		case err == nil, errors.Is(err, sdk.ErrNotRunning):
			return nil
		case errors.Is(err, sdk.ErrPluginGone) && ctx.Err() == nil:
			continue
		}
		return fmt.Errorf("stop %s: %w", w.text(), err)
	}
}

// kill ends the workload's processes at once, as far as the launcher can.
func (w *workload) kill(ctx context.Context) error {
	if !w.isWatched() {
		return nil
	}
	handle, err := w.current(ctx)
	if err == nil {
		err = handle.Signal(ctx, "KILL")
	}
	if err == nil || errors.Is(err, sdk.ErrNotRunning) || errors.Is(err, sdk.ErrProcessState) || errors.Is(err, sdk.ErrUnsupported) {
		return nil
	}
	return fmt.Errorf("kill %s: %w", w.text(), err)
}

// wait returns when the unit's watch goroutine has, if it was begun.
func (w *workload) wait() {
	if w.isWatched() {
		<-w.watchDone
		w.pollers.Wait()
	}
}

func (w *workload) isWatched() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.watched
}

// name is the unit in words.
func (w *workload) text() string {
	if w.kind == sdk.Controller {
		return "the controller"
	}
	return "engine set " + w.id
}

// snapshot answers what the cluster file says of the unit.
func (w *workload) snapshot() (state sdk.State, alive int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state, w.alive
}

// remaining answers how many processes have not ended.
func (w *workload) aliveCount() int {
	_, alive := w.snapshot()
	return alive
}

// deaths answers the engines that have ended, in order.
func (w *workload) endedEngines() []sdk.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.died)
}

// lastOutput answers what the unit wrote last, or "" when the launcher can't
// tell.
func (w *workload) lastOutput(ctx context.Context) string {
	handle, err := w.current(ctx)
	if err != nil {
		return ""
	}
	text, err := handle.Output(ctx, false)
	if err != nil {
		return ""
	}
	return text
}

// hasEnded tells whether all of the unit has ended.
func (w *workload) hasEnded() bool {
	select {
	case <-w.ended:
		return true
	default:
		return false
	}
}

// failure tells how the unit ended, with its last output.
func (w *workload) failure(what, when string) *EndedError {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := &EndedError{What: what, When: when, Exit: w.exit, Output: tail(w.output)}
	if e.Output == "" && len(w.died) > 0 {
		last := w.died[len(w.died)-1]
		e.Output = tail(last.Text)
	}
	return e
}

// tailLines is how much of a failed program's output an error shows.
const tailLines = 20

// tail answers the last lines of a program's output.
func tail(output string) string {
	lines := strings.Split(strings.TrimRight(output, "\n"), "\n")
	if len(lines) > tailLines {
		lines = lines[len(lines)-tailLines:]
	}
	return strings.Join(lines, "\n")
}

// indent puts four blanks before each line.
func indent(text string) string {
	return "    " + strings.ReplaceAll(text, "\n", "\n    ")
}
