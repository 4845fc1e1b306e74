package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/launch/plugin"
	"github.com/ipcore/ipcore/sdk"
)

// reopenPause is the delay before the next attempt if a plugin that died can't be
// opened again; it doubles up to maxReopenPause.
const (
	reopenPause    = time.Second
	maxReopenPause = time.Minute
)

// startTimeout is how long a launcher may take to accept a workload; startGrace is
// how long its Start may continue after it was canceled.
const (
	startTimeout = time.Minute
	startGrace   = 10 * time.Second
)

// workload is the controller of a cluster, or one set of engines. Its watch goroutine
// follows the launcher's events until the workload has ended, and opens another plugin
// process whenever one dies.
type workload struct {
	kind    sdk.Kind
	id      string
	process *pluginProcess
	log     hclog.Logger
	changed func(*workload) // after state or alive changed, and after the end

	// recovering is held while a new plugin process restores the workload. It is locked
	// before mu and before process.mu.
	recovering sync.Mutex

	mu       sync.Mutex
	handle   *plugin.Workload
	plugin   *plugin.Plugin // the plugin of handle
	seq      uint64         // the last event received from that plugin
	state    sdk.State
	watched  bool // watch was started
	alive    int  // processes that have not ended
	exit     Exit
	output   string
	died     []sdk.Event // engines that ended, in order
	status   *sdk.Status // the launcher's last status; nil before the first
	stopping bool        // stop was called

	statusInterval time.Duration  // between two status requests
	statusWanted   chan struct{}  // holds a value when the status is wanted at once
	pollers        sync.WaitGroup // of the poll goroutine

	updates   chan struct{} // holds a value when state, alive or status has changed
	ended     chan struct{} // closed by watch when the whole workload has ended
	watchDone chan struct{} // closed when watch has returned
}

func (c *Cluster) newWorkload(kind sdk.Kind, id string, process *pluginProcess) *workload {
	return &workload{
		kind: kind, id: id, process: process, log: c.log, changed: c.save, statusInterval: c.opts.statusInterval, statusWanted: make(chan struct{}, 1),
		updates: make(chan struct{}, 1), ended: make(chan struct{}), watchDone: make(chan struct{}),
	}
}

// start asks the launcher to start the workload, and begins to watch it. Watching ends
// with the workload or with watchCtx.
func (w *workload) start(ctx, watchCtx context.Context, r sdk.StartRequest) error {
	ctx, cancelStart := context.WithTimeout(ctx, startTimeout)
	defer cancelStart()
	p, err := w.process.running(ctx)
	if err != nil {
		return err
	}
	handle := p.Workload(w.kind, w.id)
	// After a call that is canceled halfway, it is not known whether anything was
	// started. So wait for the reply, and stop what was started.
	extended, cancel := extend(ctx, startGrace)
	defer cancel()
	state, err := handle.Start(extended, r)
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

// extend returns a context that ends d after ctx does.
func extend(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(d, cancel) })
	return longer, func() { stop(); cancel() }
}

// adopt restores a workload that another process started, from its state, and begins to
// watch it. sdk.ErrNotRunning: it has ended.
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

// current returns the workload's handle in a living plugin process. If necessary, it opens
// a new one, which restores the workload from its state.
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

// updateAlive asks how many processes of the workload run or wait, if the launcher can
// report it.
func (w *workload) updateAlive(ctx context.Context) {
	if !w.process.executable.Info.Has(sdk.CapabilityStatus) {
		return
	}
	if err := w.takeStatus(ctx); err != nil {
		return // watch gets the same error and logs it
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

// watch follows the workload until it has ended or ctx ends. It closes ended and watchDone.
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
			pause = reopenPause // the plugin worked for a long time
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
			w.log.Warn("the launcher plugin has ended; its workloads keep running and a new plugin takes over", "launcher", w.process.executable.Name, "workload", w.id)
			continue
		}
		w.log.Error("can't follow a part of the cluster", "launcher", w.process.executable.Name, "workload", w.id, "error", err, "again_in", pause)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, maxReopenPause)
	}
}

// follow reads the workload's events. Nil means that the whole workload has ended.
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
		return errors.New("the launcher's events ended before the workload did")
	}
	return events.Err()
}

// handleChange processes the event that a part of the workload has changed. Mostly, an
// engine has ended.
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
		w.log.Info("a part of the cluster has changed", "workload", w.id, "text", e.Text)
	}
	if err := w.takeState(ctx, handle); err != nil && !errors.Is(err, sdk.ErrPluginGone) && ctx.Err() == nil {
		w.log.Error("the launcher did not return its state", "workload", w.id, "error", err)
	}
	w.notify()
}

// takeState asks the launcher for the workload's state and stores it.
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

// notify reports that state, alive or status has changed.
func (w *workload) notify() {
	w.changed(w)
	select {
	case w.updates <- struct{}{}:
	default:
	}
}

// logEnd logs the end of an engine set that nobody stopped.
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

// stop ends the workload. It succeeds if the workload had already ended.
func (w *workload) stop(ctx context.Context) error {
	if !w.isWatched() {
		return nil // a failed Start leaves nothing behind
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

// kill ends the workload's processes at once, if the launcher can do that.
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

// wait returns when the workload's goroutines have returned, if they were started.
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

// text describes the workload, for messages.
func (w *workload) text() string {
	if w.kind == sdk.Controller {
		return "the controller"
	}
	return "engine set " + w.id
}

// snapshot returns what the cluster file records of the workload.
func (w *workload) snapshot() (state sdk.State, alive int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state, w.alive
}

// aliveCount returns how many processes have not ended.
func (w *workload) aliveCount() int {
	_, alive := w.snapshot()
	return alive
}

// endedEngines returns the events of engines that have ended, in order.
func (w *workload) endedEngines() []sdk.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.died)
}

// lastOutput returns the workload's last output, or "" if the launcher can't report it.
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

// hasEnded reports whether the whole workload has ended.
func (w *workload) hasEnded() bool {
	select {
	case <-w.ended:
		return true
	default:
		return false
	}
}

// failure returns how the workload ended, with its last output.
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

// tailLines is how many lines of a failed program's output an error shows.
const tailLines = 20

// tail returns the last lines of a program's output.
func tail(output string) string {
	lines := strings.Split(strings.TrimRight(output, "\n"), "\n")
	if len(lines) > tailLines {
		lines = lines[len(lines)-tailLines:]
	}
	return strings.Join(lines, "\n")
}

// indent inserts four spaces before each line.
func indent(text string) string {
	return "    " + strings.ReplaceAll(text, "\n", "\n    ")
}
