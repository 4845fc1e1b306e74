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
	// stopTellWait is how long Stop waits for Wait to tell how the workload ended.
	exitWait = 2 * time.Second
	// lookTimeout bounds one look at a workload whose launcher has no Wait.
	checkTimeout = 30 * time.Second
)

// workload is one id of the plugin: its launcher and what became of it.
type workload struct {
	id       string
	kind     Kind
	launcher Launcher

	// watching is cancelled when the id is detached or the plugin ends.
	watching context.Context
	release  context.CancelFunc
	watched  chan struct{} // closed when the watcher has ended
	stopping chan struct{} // holds one token: one Stop at a time

	mu          sync.Mutex
	started     bool
	knownToHost bool // the host has shown that it has the state
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

// begin tells that the workload runs and starts to watch it.
func (w *workload) begin(group *sync.WaitGroup, watch func()) {
	w.mu.Lock()
	w.started = true
	// What the launcher told of before it had returned comes behind "running".
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

// append adds an event. The caller holds mu.
func (w *workload) append(e Event) {
	e.ID, e.Seq = w.id, uint64(len(w.events)+1)
	e.Text = lastBytes(validText(e.Text), maxText)
	w.events = append(w.events, e)
	w.wake()
}

// wake lets everybody look again. The caller holds mu.
func (w *workload) wake() {
	close(w.updated)
	w.updated = make(chan struct{})
}

// changed tells of a change of a part; it is Env.Changed.
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

// ended tells that all has ended; the first call counts.
func (w *workload) ended(e Exit) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return
	}
	w.stopped = true
	w.append(Event{Kind: EventStopped, Index: -1, Exit: e, Text: e.Output})
}

// unknown tells whether the workload runs and no host may know of it.
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

// since answers the events after a number, whether the last of all is known, and
// a channel that is closed when there is more to see.
func (w *workload) since(after uint64) (events []Event, complete bool, more <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.started && after < uint64(len(w.events)) {
		events = w.events[after:len(w.events):len(w.events)]
	}
	return events, w.started && w.stopped, w.updated
}

// watch finds out when the workload ends. look makes a fresh launcher for one
// without Wait.
func (w *workload) watch(every time.Duration, look func(context.Context, State) error) {
	var told string
	for {
		var exit Exit
		var err error
		if waiter, ok := w.launcher.(Waiter); ok {
			exit, err = waiter.Wait(w.watching)
		} else {
			exit, err = Exit{Code: -1}, w.pollState(every, look)
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
		case err.Error() != told: // say it once, and go on
			told = err.Error()
			w.changed(Change{Index: -1, Text: fmt.Sprintf("the end can't be watched: %v", err)})
		}
		if !sleep(w.watching, every) {
			return
		}
	}
}

// look looks at intervals until the workload has ended (nil), or one look fails.
func (w *workload) pollState(every time.Duration, look func(context.Context, State) error) error {
	for sleep(w.watching, every) {
		ctx, cancel := context.WithTimeout(w.watching, checkTimeout)
		state, err := w.launcher.ToDict(ctx)
		if err == nil {
			err = look(ctx, state)
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

// stop ends the workload and sees to it that the end is told.
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

// letGo ends the watching and closes the launcher; the workload runs on.
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
		// The workload is not touched by Close, so its error changes nothing here.
		_ = c.Close()
	}
}

// sleep waits and tells whether ctx is still good.
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

// lastBytes answers the last n bytes of s, from the beginning of a line if there
// is one.
func lastBytes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	s = s[len(s)-n:]
	for i := range len(s) {
		if s[i] == '\n' {
			return s[i+1:]
		}
	}
	return validText(s)
}
