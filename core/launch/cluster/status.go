package cluster

import (
	"context"
	"errors"
	"reflect"
	"time"

	"github.com/ipcore/ipcore/core/launch/clusterfile"

	"github.com/ipcore/ipcore/sdk"
)

const (
	// statusEvery is how often a launcher is asked for the status of a unit of which
	// something waits; statusCalm times as long when all runs.
	statusInterval = 5 * time.Second
	steadyFactor   = 3
	// statusSoon is how long after an engine was lost a launcher is asked again, of
	// which the system may not have noticed at once; soonTimes is how often.
	lossInterval = 1500 * time.Millisecond
	lossPolls    = 2
	// statusLimit bounds one question.
	statusTimeout = 30 * time.Second
)

// ask has the unit's status asked for at once.
func (w *workload) requestStatus() {
	select {
	case w.statusWanted <- struct{}{}:
	default:
	}
}

// poll asks the launcher for the unit's status until the unit or ctx has ended.
func (w *workload) poll(ctx context.Context) {
	if !w.process.executable.Info.Has(sdk.CapabilityStatus) {
		return
	}
	t := time.NewTimer(min(w.statusInterval, time.Second))
	defer t.Stop()
	soon := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.ended:
			return
		case <-w.statusWanted:
			soon = lossPolls
		case <-t.C:
		}
		err := w.takeStatus(ctx)
		switch {
		case errors.Is(err, sdk.ErrUnsupported), errors.Is(err, sdk.ErrNotRunning):
			return // the end, if it is one, is told by the events
		case err != nil && ctx.Err() == nil:
			w.log.Debug("the launcher does not tell the status", "unit", w.id, "error", err)
		}
		pause := w.statusInterval
		switch {
		case soon > 0:
			soon--
			pause = min(pause, lossInterval)
		case w.steady():
			pause *= steadyFactor
		}
		t.Reset(pause)
	}
}

// takeStatus asks for the status and takes it over.
func (w *workload) takeStatus(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	handle, err := w.current(ctx)
	if err != nil {
		return err
	}
	st, err := handle.Status(ctx)
	switch {
	case errors.Is(err, sdk.ErrUnknownStatus):
		st = sdk.Status{State: sdk.StatusUnknown, Text: err.Error()}
	case err != nil:
		return err
	}
	w.mu.Lock()
	changed := w.status == nil || !reflect.DeepEqual(*w.status, st)
	w.status = &st
	if st.Running != nil && st.Pending != nil && w.kind != sdk.Controller {
		w.alive = *st.Running + *st.Pending
	}
	w.mu.Unlock()
	if changed {
		w.log.Debug("status", "unit", w.id, "state", st.State, "text", st.Text)
		w.notify()
	}
	return nil
}

// calm tells whether nothing is expected to change.
func (w *workload) steady() bool {
	st := w.lastStatus()
	return st != nil && st.State == sdk.StatusRunning && (st.Pending == nil || *st.Pending == 0)
}

// said answers what the launcher said last, or nil.
func (w *workload) lastStatus() *clusterfile.WorkloadStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.status == nil {
		return nil
	}
	return &clusterfile.WorkloadStatus{State: w.status.State, Text: w.status.Text, Running: w.status.Running, Pending: w.status.Pending, Total: w.status.Total}
}

// waiting says what is with the engines that are not there yet, "" if nothing is
// known.
func (w *workload) waiting() string {
	if st := w.lastStatus(); st != nil {
		return st.Waiting()
	}
	return ""
}

// mayCome tells whether engines may still come by themselves.
func (w *workload) hasPending() bool { return w.waiting() != "" }

// says is what the launcher says of a unit that is not there, for the middle of a
// sentence.
func (w *workload) statusText() string {
	if waiting := w.waiting(); waiting != "" {
		return " (its launcher says: " + waiting + ")"
	}
	return ""
}

// ending answers how the unit ended. When nobody says, it is the last status.
func (w *workload) endRecord() clusterfile.WorkloadEnd {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := clusterfile.WorkloadEnd{Set: w.id, When: time.Now().UTC().Format(time.RFC3339), Cause: w.exit.String(), Output: tail(w.output)}
	if w.exit.Code == -1 && w.exit.Signal == "" && w.exit.Reason == "" && w.status != nil && w.status.State == sdk.StatusStopped && w.status.Text != "" {
		e.Cause = w.status.Text
	}
	return e
}
