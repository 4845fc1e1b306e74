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
	// statusInterval is the default time between two status requests for a workload.
	// While nothing is expected to change it is steadyFactor times as long.
	statusInterval = 5 * time.Second
	steadyFactor   = 3
	// After the controller has lost an engine, the launcher is asked at once and
	// lossPolls more times, lossInterval apart: its system may not notice at once.
	lossInterval = 1500 * time.Millisecond
	lossPolls    = 2
	// statusTimeout bounds one status request.
	statusTimeout = 30 * time.Second
)

// requestStatus makes poll ask for the workload's status at once.
func (w *workload) requestStatus() {
	select {
	case w.statusWanted <- struct{}{}:
	default:
	}
}

// poll asks the launcher for the workload's status until the workload or ctx has ended.
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
			return // if the workload has ended, its events say so
		case err != nil && ctx.Err() == nil:
			w.log.Debug("the launcher did not return the status", "workload", w.id, "error", err)
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

// takeStatus asks for the status and stores it.
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
		w.log.Debug("status", "workload", w.id, "state", st.State, "text", st.Text)
		w.notify()
	}
	return nil
}

// steady reports whether nothing is expected to change.
func (w *workload) steady() bool {
	st := w.lastStatus()
	return st != nil && st.State == sdk.StatusRunning && (st.Pending == nil || *st.Pending == 0)
}

// lastStatus returns the last status from the launcher, or nil.
func (w *workload) lastStatus() *clusterfile.WorkloadStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.status == nil {
		return nil
	}
	return &clusterfile.WorkloadStatus{State: w.status.State, Text: w.status.Text, Running: w.status.Running, Pending: w.status.Pending, Total: w.status.Total}
}

// waiting says why engines are not running yet, or returns "" if nothing is known.
func (w *workload) waiting() string {
	if st := w.lastStatus(); st != nil {
		return st.Waiting()
	}
	return ""
}

// hasPending reports whether engines that are not running yet may still start.
func (w *workload) hasPending() bool { return w.waiting() != "" }

// statusText returns what the launcher says about a workload that is not ready, in a form
// that can be inserted into a sentence.
func (w *workload) statusText() string {
	if waiting := w.waiting(); waiting != "" {
		return " (its launcher says: " + waiting + ")"
	}
	return ""
}

// endRecord returns how the workload ended. If its exit is not known, the cause is the
// text of the last status.
func (w *workload) endRecord() clusterfile.WorkloadEnd {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := clusterfile.WorkloadEnd{Set: w.id, When: time.Now().UTC().Format(time.RFC3339), Cause: w.exit.String(), Output: tail(w.output)}
	if w.exit.Code == -1 && w.exit.Signal == "" && w.exit.Reason == "" && w.status != nil && w.status.State == sdk.StatusStopped && w.status.Text != "" {
		e.Cause = w.status.Text
	}
	return e
}
