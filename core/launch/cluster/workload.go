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
	startLimit = time.Minute
	startGrace = 10 * time.Second
)

// unit is one launched thing of a cluster: the controller, or one engine set.
// Its watch goroutine follows the launcher's events until the end, through as
// many plugin processes as it takes.
type workload struct {
	kind    sdk.Kind
	id      string
	host    *pluginProcess
	log     hclog.Logger
	changed func(*workload) // after state or alive changed, and after the end

	// recovering is held while a new plugin process takes the unit up. It comes
	// before mu and before host.mu.
	recovering sync.Mutex

	mu       sync.Mutex
	launcher *plugin.Workload
	plugin   *plugin.Plugin // that launcher belongs to
	seq      uint64         // the last event taken from that plugin
	state    sdk.State
	begun    bool // watch was started
	alive    int  // processes that have not ended
	exit     Exit
	output   string
	died     []sdk.Event // engines that ended, in order
	status   *sdk.Status // what the launcher said last; nil before
	stopping bool        // stop was called

	every   time.Duration  // between two questions for the status
	asked   chan struct{}  // holds one when the status is wanted at once
	pollers sync.WaitGroup // poll

	news  chan struct{} // holds one when alive has changed
	ended chan struct{} // closed by watch when all of it has ended
	gone  chan struct{} // closed when watch has returned
}

func (c *Cluster) newUnit(kind sdk.Kind, id string, h *pluginProcess) *workload {
	return &workload{
		kind: kind, id: id, host: h, log: c.log, changed: c.save, every: c.opts.every, asked: make(chan struct{}, 1),
		news: make(chan struct{}, 1), ended: make(chan struct{}), gone: make(chan struct{}),
	}
}

// start asks the launcher for the workload and begins to watch it; watching
// ends with the workload or with watchCtx.
func (u *workload) start(ctx, watchCtx context.Context, r sdk.StartRequest) error {
	ctx, cancelStart := context.WithTimeout(ctx, startLimit)
	defer cancelStart()
	p, err := u.host.process(ctx)
	if err != nil {
		return err
	}
	l := p.Workload(u.kind, u.id)
	// A call that is cancelled half-way leaves open whether anything was started:
	// the answer is waited for, and what was started is then stopped.
	patient, cancel := outlive(ctx, startGrace)
	defer cancel()
	state, err := l.Start(patient, r)
	if err != nil {
		return err
	}
	u.mu.Lock()
	u.launcher, u.plugin, u.state, u.begun = l, p, state, true
	u.alive = 1
	if r.N != nil {
		u.alive = *r.N
	}
	u.mu.Unlock()
	u.changed(u)
	go u.watch(watchCtx)
	u.pollers.Go(func() { u.poll(watchCtx) })
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
func (u *workload) adopt(ctx, watchCtx context.Context, state sdk.State, alive int) error {
	u.mu.Lock()
	u.state, u.alive = state, alive
	u.mu.Unlock()
	if _, err := u.current(ctx); err != nil {
		return err
	}
	u.mu.Lock()
	u.begun = true
	u.mu.Unlock()
	go u.watch(watchCtx)
	u.pollers.Go(func() { u.poll(watchCtx) })
	return nil
}

// current answers the launcher in a plugin process that lives, after making a
// new one take the unit up where that is needed.
func (u *workload) current(ctx context.Context) (*plugin.Workload, error) {
	u.recovering.Lock()
	defer u.recovering.Unlock()
	p, err := u.host.process(ctx)
	if err != nil {
		return nil, err
	}
	u.mu.Lock()
	l, state := u.launcher, u.state
	known := l != nil && u.plugin == p
	u.mu.Unlock()
	if known {
		return l, nil
	}
	l = p.Workload(u.kind, u.id)
	state, err = l.FromDict(ctx, state)
	if err != nil {
		return nil, err
	}
	u.mu.Lock()
	u.launcher, u.plugin, u.state, u.seq = l, p, state, 0
	u.mu.Unlock()
	u.changed(u)
	return l, nil
}

// recount asks how many processes of the unit run or wait, where the launcher
// can tell.
func (u *workload) recount(ctx context.Context) {
	if !u.host.found.Info.Has(sdk.CapabilityStatus) {
		return
	}
	if err := u.takeStatus(ctx); err != nil {
		return // watch meets it as well, and tells
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if st := u.status; st.Running != nil {
		u.alive = *st.Running
		if st.Pending != nil {
			u.alive += *st.Pending
		}
	}
}

// watch follows the unit until it has ended or ctx ends. It owns ended and gone.
func (u *workload) watch(ctx context.Context) {
	defer close(u.gone)
	pause := reopenPause
	for {
		began := time.Now()
		l, err := u.current(ctx)
		if err == nil {
			err = u.follow(ctx, l)
		}
		if time.Since(began) > maxReopenPause {
			pause = reopenPause // it went well for long
		}
		switch {
		case err == nil:
			u.logEnd()
			close(u.ended)
			u.changed(u)
			return
		case ctx.Err() != nil:
			return
		case errors.Is(err, sdk.ErrNotRunning):
			u.mu.Lock()
			u.alive, u.exit = 0, Exit{Code: -1}
			u.mu.Unlock()
			u.logEnd()
			close(u.ended)
			u.changed(u)
			return
		case errors.Is(err, sdk.ErrPluginGone) && time.Since(began) > pause:
			u.log.Warn("the launcher plugin has ended; its work goes on and a new one takes over", "launcher", u.host.found.Name, "unit", u.id)
			continue
		}
		u.log.Error("lost sight of a part of the cluster", "launcher", u.host.found.Name, "unit", u.id, "error", err, "again_in", pause)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, maxReopenPause)
	}
}

// follow reads the unit's events. Nil means that all of it has ended.
func (u *workload) follow(ctx context.Context, l *plugin.Workload) error {
	u.mu.Lock()
	after := u.seq
	u.mu.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events := l.Events(ctx, after)
	stopped := false
	for e := range events.C {
		u.mu.Lock()
		u.seq = e.Seq
		u.mu.Unlock()
		switch e.Kind {
		case sdk.EventChanged:
			u.change(ctx, l, e)
		case sdk.EventStopped:
			u.mu.Lock()
			u.alive = 0
			u.exit, u.output = exitOf(e.Exit), e.Text
			u.mu.Unlock()
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
func (u *workload) change(ctx context.Context, l *plugin.Workload, e sdk.Event) {
	u.mu.Lock()
	if e.Index >= 0 && u.alive > 0 {
		u.alive--
		u.died = append(u.died, e)
	}
	u.mu.Unlock()
	if e.Index >= 0 {
		u.log.Warn("an engine has ended", "set", u.id, "index", e.Index, "cause", exitOf(e.Exit).String())
	} else {
		u.log.Info("a part of the cluster has changed", "unit", u.id, "text", e.Text)
	}
	if err := u.takeState(ctx, l); err != nil && !errors.Is(err, sdk.ErrPluginGone) && ctx.Err() == nil {
		u.log.Error("the launcher does not tell its state", "unit", u.id, "error", err)
	}
	u.tell()
}

// takeState asks the launcher for its state.
func (u *workload) takeState(ctx context.Context, l *plugin.Workload) error {
	state, err := l.ToDict(ctx)
	if err != nil {
		return err
	}
	u.mu.Lock()
	u.state = state
	u.mu.Unlock()
	return nil
}

// tell lets everybody know that state, alive or status has changed.
func (u *workload) tell() {
	u.changed(u)
	select {
	case u.news <- struct{}{}:
	default:
	}
}

// logEnd tells of the end of an engine set that nobody stopped.
func (u *workload) logEnd() {
	end := u.ending()
	u.mu.Lock()
	expected := u.stopping || u.kind == sdk.Controller || u.exit == Exit{}
	u.mu.Unlock()
	if expected {
		return
	}
	u.log.Warn("all engines of a set have ended", "set", u.id, "launcher", u.host.found.Name, "cause", end.Cause)
}

// stop ends the workload; that it had ended already is success.
func (u *workload) stop(ctx context.Context) error {
	if !u.hasBegun() {
		return nil // a Start that failed leaves nothing
	}
	u.mu.Lock()
	u.stopping = true
	u.mu.Unlock()
	for {
		select {
		case <-u.ended:
			return nil
		default:
		}
		l, err := u.current(ctx)
		if err == nil {
			err = l.Stop(ctx)
		}
		switch {
		case err == nil, errors.Is(err, sdk.ErrNotRunning):
			return nil
		case errors.Is(err, sdk.ErrPluginGone) && ctx.Err() == nil:
			continue
		}
		return fmt.Errorf("stop %s: %w", u.name(), err)
	}
}

// kill ends the workload's processes at once, as far as the launcher can.
func (u *workload) kill(ctx context.Context) error {
	if !u.hasBegun() {
		return nil
	}
	l, err := u.current(ctx)
	if err == nil {
		err = l.Signal(ctx, "KILL")
	}
	if err == nil || errors.Is(err, sdk.ErrNotRunning) || errors.Is(err, sdk.ErrProcessState) || errors.Is(err, sdk.ErrUnsupported) {
		return nil
	}
	return fmt.Errorf("kill %s: %w", u.name(), err)
}

// wait returns when the unit's watch goroutine has, if it was begun.
func (u *workload) wait() {
	if u.hasBegun() {
		<-u.gone
		u.pollers.Wait()
	}
}

func (u *workload) hasBegun() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.begun
}

// name is the unit in words.
func (u *workload) name() string {
	if u.kind == sdk.Controller {
		return "the controller"
	}
	return "engine set " + u.id
}

// snapshot answers what the cluster file says of the unit.
func (u *workload) snapshot() (state sdk.State, alive int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.state, u.alive
}

// remaining answers how many processes have not ended.
func (u *workload) remaining() int {
	_, alive := u.snapshot()
	return alive
}

// deaths answers the engines that have ended, in order.
func (u *workload) deaths() []sdk.Event {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.died)
}

// lastOutput answers what the unit wrote last, or "" when the launcher can't
// tell.
func (u *workload) lastOutput(ctx context.Context) string {
	l, err := u.current(ctx)
	if err != nil {
		return ""
	}
	text, err := l.Output(ctx, false)
	if err != nil {
		return ""
	}
	return text
}

// hasEnded tells whether all of the unit has ended.
func (u *workload) hasEnded() bool {
	select {
	case <-u.ended:
		return true
	default:
		return false
	}
}

// failure tells how the unit ended, with its last output.
func (u *workload) failure(what, when string) *EndedError {
	u.mu.Lock()
	defer u.mu.Unlock()
	e := &EndedError{What: what, When: when, Exit: u.exit, Output: tail(u.output)}
	if e.Output == "" && len(u.died) > 0 {
		last := u.died[len(u.died)-1]
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
