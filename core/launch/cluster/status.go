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
	statusEvery = 5 * time.Second
	statusCalm  = 3
	// statusSoon is how long after an engine was lost a launcher is asked again, of
	// which the system may not have noticed at once; soonTimes is how often.
	statusSoon = 1500 * time.Millisecond
	soonTimes  = 2
	// statusLimit bounds one question.
	statusLimit = 30 * time.Second
)

// ask has the unit's status asked for at once.
func (u *workload) ask() {
	select {
	case u.asked <- struct{}{}:
	default:
	}
}

// poll asks the launcher for the unit's status until the unit or ctx has ended.
func (u *workload) poll(ctx context.Context) {
	if !u.host.found.Info.Has(sdk.CapabilityStatus) {
		return
	}
	t := time.NewTimer(min(u.every, time.Second))
	defer t.Stop()
	soon := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-u.ended:
			return
		case <-u.asked:
			soon = soonTimes
		case <-t.C:
		}
		err := u.takeStatus(ctx)
		switch {
		case errors.Is(err, sdk.ErrUnsupported), errors.Is(err, sdk.ErrNotRunning):
			return // the end, if it is one, is told by the events
		case err != nil && ctx.Err() == nil:
			u.log.Debug("the launcher does not tell the status", "unit", u.id, "error", err)
		}
		pause := u.every
		switch {
		case soon > 0:
			soon--
			pause = min(pause, statusSoon)
		case u.calm():
			pause *= statusCalm
		}
		t.Reset(pause)
	}
}

// takeStatus asks for the status and takes it over.
func (u *workload) takeStatus(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, statusLimit)
	defer cancel()
	l, err := u.current(ctx)
	if err != nil {
		return err
	}
	st, err := l.Status(ctx)
	switch {
	case errors.Is(err, sdk.ErrUnknownStatus):
		st = sdk.Status{State: sdk.StatusUnknown, Text: err.Error()}
	case err != nil:
		return err
	}
	u.mu.Lock()
	changed := u.status == nil || !reflect.DeepEqual(*u.status, st)
	u.status = &st
	if st.Running != nil && st.Pending != nil && u.kind != sdk.Controller {
		u.alive = *st.Running + *st.Pending
	}
	u.mu.Unlock()
	if changed {
		u.log.Debug("status", "unit", u.id, "state", st.State, "text", st.Text)
		u.tell()
	}
	return nil
}

// calm tells whether nothing is expected to change.
func (u *workload) calm() bool {
	st := u.said()
	return st != nil && st.State == sdk.StatusRunning && (st.Pending == nil || *st.Pending == 0)
}

// said answers what the launcher said last, or nil.
func (u *workload) said() *clusterfile.WorkloadStatus {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.status == nil {
		return nil
	}
	return &clusterfile.WorkloadStatus{State: u.status.State, Text: u.status.Text, Running: u.status.Running, Pending: u.status.Pending, Total: u.status.Total}
}

// waiting says what is with the engines that are not there yet, "" if nothing is
// known.
func (u *workload) waiting() string {
	if st := u.said(); st != nil {
		return st.Waiting()
	}
	return ""
}

// mayCome tells whether engines may still come by themselves.
func (u *workload) mayCome() bool { return u.waiting() != "" }

// says is what the launcher says of a unit that is not there, for the middle of a
// sentence.
func (u *workload) says() string {
	if w := u.waiting(); w != "" {
		return " (its launcher says: " + w + ")"
	}
	return ""
}

// ending answers how the unit ended. When nobody says, it is the last status.
func (u *workload) ending() clusterfile.WorkloadEnd {
	u.mu.Lock()
	defer u.mu.Unlock()
	e := clusterfile.WorkloadEnd{Set: u.id, When: time.Now().UTC().Format(time.RFC3339), Cause: u.exit.String(), Output: tail(u.output)}
	if u.exit.Code == -1 && u.exit.Signal == "" && u.exit.Reason == "" && u.status != nil && u.status.State == sdk.StatusStopped && u.status.Text != "" {
		e.Cause = u.status.Text
	}
	return e
}
