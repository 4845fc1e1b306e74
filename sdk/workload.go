package sdk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	// maxText bounds the text of an event, in bytes.
	maxText = 16 << 10
	// exitWait is how long Stop waits for Wait to return how the workload ended.
	exitWait = 2 * time.Second
	// checkTimeout bounds one check of a workload whose launcher is not a Waiter.
	checkTimeout = 30 * time.Second
)

// workload is one id of the plugin, with its launcher and its events.
type workload struct {
	id       string
	kind     Kind
	launcher Launcher

	// watching is canceled when the id is detached or the plugin ends.
	watching context.Context
	release  context.CancelFunc
	watched  chan struct{} // closed when the watcher has ended
	stopping chan struct{} // holds one token: only one Stop runs at a time

	mu          sync.Mutex
	started     bool
	knownToHost bool // the host has shown that it has the state: it named the id after Start
	stopped     bool
	events      []Event
	updated     chan struct{} // closed and replaced at each change
}

func newWorkload(ctx context.Context, id string, kind Kind) *workload {
	w := &workload{
		id: id, kind: kind,
		watched:  make(chan struct{}),
		stopping: make(chan struct{}, 1),
		updated:  make(chan struct{}),
	}
	w.watching, w.release = context.WithCancel(ctx)
	return w
}

// begin adds the event "running" and starts to watch the workload.
func (w *workload) begin(group *sync.WaitGroup, watch func()) {
	w.mu.Lock()
	w.started = true
	// Events that the launcher reported before Start returned come after "running".
	early := w.events
	w.events = nil
	w.append(Event{Kind: EventRunning, Index: -1})
	for _, e := range early {
		w.append(e)
	}
	w.mu.Unlock()
	group.Go(func() {
		defer close(w.watched)
		watch()
	})
}

// append adds an event. The caller must hold mu.
func (w *workload) append(e Event) {
	e.ID, e.Seq = w.id, uint64(len(w.events)+1)
	e.Text = LastBytes(e.Text, maxText)
	w.events = append(w.events, e)
	w.wake()
}

// wake wakes all callers of since. The caller must hold mu.
func (w *workload) wake() {
	close(w.updated)
	w.updated = make(chan struct{})
}

// changed is Host.Changed of the workload's launcher.
func (w *workload) changed(c Change) {
	text := c.Text
	if text == "" {
		text = c.Exit.Output
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.stopped {
		w.append(Event{Kind: EventChanged, Index: c.Index, Exit: c.Exit, Text: text})
	}
}

// ended adds the event "stopped". Only the first call has an effect.
func (w *workload) ended(e Exit) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return
	}
	w.stopped = true
	w.append(Event{Kind: EventStopped, Index: -1, Exit: e, Text: e.Output})
}

// unknownToHost reports whether the workload is running and the host may not have its
// state.
func (w *workload) unknownToHost() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.started && !w.knownToHost && !w.stopped
}

func (w *workload) hasStopped() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stopped
}

// since returns the events whose Seq is greater than after, whether they include the
// last event, and a channel that is closed when something has changed.
func (w *workload) since(after uint64) (events []Event, complete bool, more <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.started && after < uint64(len(w.events)) {
		events = w.events[after:len(w.events):len(w.events)]
	}
	return events, w.started && w.stopped, w.updated
}

// watch waits until the workload ends, and adds the event "stopped". check checks the
// workload of a state, for a launcher that is not a Waiter.
func (w *workload) watch(every time.Duration, check func(context.Context, State) error) {
	var reported string
	for {
		var exit Exit
		var err error
		if waiter, ok := w.launcher.(Waiter); ok {
			exit, err = waiter.Wait(w.watching)
		} else {
			exit, err = Exit{Code: -1}, w.pollState(every, check)
		}
		if w.watching.Err() != nil {
			return
		}
		switch {
		case err == nil:
			w.ended(exit)
			return
		case errors.Is(err, ErrNotRunning):
			w.ended(Exit{Code: -1})
			return
		case err.Error() != reported: // report it once, and continue
			reported = err.Error()
			w.changed(Change{Index: -1, Text: fmt.Sprintf("can't watch for the end of the workload: %v", err)})
		}
		if !sleep(w.watching, every) {
			return
		}
	}
}

// pollState checks at intervals until the workload has ended, and then returns nil, or
// until a check fails.
func (w *workload) pollState(every time.Duration, check func(context.Context, State) error) error {
	for sleep(w.watching, every) {
		ctx, cancel := context.WithTimeout(w.watching, checkTimeout)
		state, err := w.launcher.ToDict(ctx)
		if err == nil {
			err = check(ctx, state)
		}
		cancel()
		if errors.Is(err, ErrNotRunning) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return w.watching.Err()
}

// stop ends the workload and adds the event "stopped".
func (w *workload) stop(ctx context.Context) error {
	select {
	case w.stopping <- struct{}{}:
		defer func() { <-w.stopping }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := w.launcher.Stop(ctx); err != nil && !errors.Is(err, ErrNotRunning) {
		return err
	}
	if _, ok := w.launcher.(Waiter); ok && !w.hasStopped() {
		t := time.NewTimer(exitWait)
		defer t.Stop()
		select {
		case <-w.watched:
		case <-t.C:
		case <-ctx.Done():
		}
	}
	w.ended(Exit{Code: -1})
	return nil
}

// detach stops watching the workload, which keeps running, and closes the launcher.
func (w *workload) detach() {
	w.release()
	w.mu.Lock()
	begun := w.started
	w.wake()
	w.mu.Unlock()
	if begun {
		<-w.watched
	}
	closeLauncher(w.launcher)
}

// closeLauncher calls the launcher's Close if it has one.
func closeLauncher(l Launcher) {
	if c, ok := l.(io.Closer); ok {
		// Close does not affect the workload, so its error does not matter here.
		_ = c.Close()
	}
}

// sleep waits for d, and reports whether ctx has not ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
