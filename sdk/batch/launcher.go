package batch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/process"
)

// Launcher is the sdk.Launcher of one controller, engine or set of engines on a batch
// system.
type Launcher struct {
	kind sdk.Kind
	host sdk.Host
	base System
	pool *pool

	// Set by Start or FromDict, and not changed afterwards.
	system   *System
	settings *Settings
	state    state
	job      *tracker
	poller   *poller

	closing sync.Once
}

var (
	_ sdk.Launcher     = (*Launcher)(nil)
	_ sdk.Waiter       = (*Launcher)(nil)
	_ sdk.Outputter    = (*Launcher)(nil)
	_ sdk.Statuser     = (*Launcher)(nil)
	_ sdk.Scripter     = (*Launcher)(nil)
	_ sdk.OrphanFinder = (*Launcher)(nil)
	_ sdk.Signaler     = signaling{}
)

// signaling is a Launcher on a system that has a command for signals.
type signaling struct{ *Launcher }

// New returns the Factory for launchers of this system, to pass to sdk.Serve. All
// launchers of one Factory share their status queries.
func (s System) New() sdk.Factory {
	shared := &pool{}
	return func(kind sdk.Kind, host sdk.Host) sdk.Launcher {
		l := &Launcher{kind: kind, host: host, base: s, pool: shared}
		if s.Signal != nil {
			return signaling{l}
		}
		return l
	}
}

// configure decodes the options, and sets settings and the system that they describe.
func (l *Launcher) configure(ctx context.Context, options json.RawMessage) error {
	o, err := readSettings(options)
	if err != nil {
		return err
	}
	s := l.base
	if err := s.adapt(ctx, o); err != nil {
		return err
	}
	l.system, l.settings = &s, o
	return nil
}

// adapt changes s, which is a copy, according to the options.
func (s *System) adapt(ctx context.Context, o *Settings) error {
	if s.Adapt != nil {
		run := func(words ...string) (string, string, error) {
			return s.run(ctx, command{words: words, option: "submit_command", limit: o.commandLimit()})
		}
		if err := s.Adapt(s, o, run); err != nil {
			return err
		}
	}
	for _, c := range []struct {
		given  Words
		own    *[]string
		append []string
	}{
		{o.SubmitCommand, &s.Submit, nil},
		{o.DeleteCommand, &s.Delete, []string{"{id}"}},
		{o.SignalCommand, &s.Signal, []string{"{signal}", "{id}"}},
		{o.StatusCommand, &s.Query, nil},
	} {
		if len(c.given) == 0 {
			continue
		}
		words := append([]string(nil), c.given...)
		for _, field := range c.append { // commands in the form of IPython Parallel have no fields
			if !strings.Contains(strings.Join(c.given, " "), field) {
				words = append(words, field)
			}
		}
		*c.own = words
	}
	if o.jobID != nil {
		s.JobID = o.jobID
	}
	return nil
}

// Start submits the job and returns when the system has accepted it.
func (l *Launcher) Start(ctx context.Context, r sdk.StartRequest) error {
	if err := l.configure(ctx, r.Options); err != nil {
		return err
	}
	s := l.system
	j, err := s.plan(r, l.settings)
	if err != nil {
		return err
	}
	for _, w := range j.Warnings {
		l.host.Log.Warn(w)
	}
	options, err := keptOptions(l.settings.SystemOptions)
	if err != nil {
		return err
	}
	if err := j.write(); err != nil {
		return err
	}
	id, err := l.submit(ctx, j)
	if err != nil {
		removeScript(j.Path) // a failed start leaves no files
		return err
	}
	l.host.Log.Info("job submitted", "job_id", id, "name", j.Name, "script", j.Path)
	l.state = state{
		Version: stateVersion, ProfileDir: r.ProfileDir, ClusterID: r.ClusterID,
		JobID: id, Template: j.Template, FileName: j.Path, Queue: l.settings.Queue, N: j.N,
		Namespace: l.settings.Namespace, Output: j.Output, JobName: j.Name, Layout: j.Layout,
		Tag: r.Tag, Options: options,
	}
	if j.Template != "" && l.settings.Name == "" && matches(s.Dialect.Directives["name"].Match, j.Script) {
		l.state.JobName = "" // the template sets its own name
	}
	l.watch(time.Now())
	if ctx.Err() != nil { // the caller has given up
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanLimit)
		defer cancel()
		return errors.Join(ctx.Err(), l.Stop(clean))
	}
	return nil
}

// watch starts to watch the job of the state.
func (l *Launcher) watch(submitted time.Time) {
	st := &l.state
	l.job = newTracker(l.system, st.JobID, st.JobName, st.N, st.Layout == LayoutArray)
	if l.job.submitted = submitted; !submitted.IsZero() {
		for i := range l.job.elements {
			l.job.elements[i].state, l.job.elements[i].reason = Queued, "accepted"
		}
	}
	l.job.onElementEnd = l.elementEnded
	l.job.onOutage = func(text string) {
		if text == "" {
			text = l.system.Title + " can be queried again"
		} else {
			text = l.system.Title + " can't be queried, so the job's state is not known: " + text
		}
		l.host.Changed(sdk.Change{Index: -1, Text: text})
	}
	l.poller = l.pool.get(l.system, l.settings)
	l.poller.add(l.job)
}

// elementEnded reports that one engine of a set has ended.
func (l *Launcher) elementEnded(i int, e element) {
	if l.kind != sdk.Engine || l.state.Layout == LayoutTasks {
		return // the engines end with the job, whose end Wait reports
	}
	exit := e.exit()
	exit.Output = l.exitText(e, i)
	l.host.Changed(sdk.Change{Index: i, Exit: exit})
}

// exitText returns the last lines of output of an element that has ended, and the
// reason of its end.
func (l *Launcher) exitText(e element, i int) string {
	text := l.job.lastLines(l.state.Output, i)
	if e.state == Completed && e.reason == "" {
		return text
	}
	id := l.job.id
	if l.job.array {
		id = l.system.element(id, i+l.job.first)
	}
	reason := fmt.Sprintf("%s job %s: %s", l.system.Title, id, e.state)
	if e.reason != "" {
		reason += " (" + e.reason + ")"
	}
	if text == "" {
		return reason
	}
	return strings.TrimSuffix(text, "\n") + "\n" + reason
}

// FromDict finds a job from its state.
func (l *Launcher) FromDict(ctx context.Context, given sdk.State) error {
	var st state
	if err := given.Decode(&st); err != nil {
		return err
	}
	if err := st.check(l.base.Name); err != nil {
		return err
	}
	if err := l.configure(ctx, st.Options); err != nil {
		return err
	}
	if st.Version == 0 && st.N > 1 && st.Layout == "" { // written by IPython Parallel
		st.Layout = LayoutArray
		if len(l.system.Dialect.TaskRunner) > 0 {
			st.Layout = LayoutTasks
		}
	}
	l.state = st
	l.state.Version = stateVersion
	l.watch(time.Time{})
	if len(l.system.Query) == 0 {
		return nil // the job can't be queried
	}
	t := l.job
	t.mu.Lock()
	t.restoring = true
	t.mu.Unlock()
	err := l.poller.refresh(ctx)
	t.mu.Lock()
	t.restoring = false
	seen, left := t.seen, t.left
	t.mu.Unlock()
	switch {
	case left == 0:
		err = fmt.Errorf("%w: %s", sdk.ErrNotRunning, t.summary())
	case err != nil:
		err = l.system.unreachable(err)
	case !seen:
		err = fmt.Errorf("%w: %s neither lists job %s nor says that it does not exist", sdk.ErrUnknownStatus, l.system.Title, t.id)
	}
	if err != nil {
		l.poller.remove(t)
	}
	return err
}

// ToDict returns the state.
func (l *Launcher) ToDict(context.Context) (sdk.State, error) {
	st := l.state
	st.State = "running"
	if l.job.hasEnded() {
		st.State = "after"
	}
	if st.Namespace == nil {
		st.Namespace = map[string]any{}
	}
	return sdk.NewState(st)
}

// Wait waits until the system says that all of the job has ended.
func (l *Launcher) Wait(ctx context.Context) (sdk.Exit, error) {
	select {
	case <-l.job.done:
	case <-ctx.Done():
		return sdk.Exit{Code: -1}, ctx.Err()
	}
	l.job.mu.Lock()
	last := l.job.last
	at := 0
	for i := range l.job.elements {
		if l.job.elements[i].state == last.state && l.job.elements[i].code == last.code {
			at = i
			break
		}
	}
	l.job.mu.Unlock()
	exit := last.exit()
	exit.Output = l.exitText(last, at)
	return exit, nil
}

// Status returns what the system reports about the job. The error wraps
// sdk.ErrUnknownStatus while the system can't be queried.
func (l *Launcher) Status(ctx context.Context) (sdk.Status, error) {
	t := l.job
	if !t.hasEnded() {
		if len(l.system.Query) == 0 {
			return sdk.Status{State: sdk.StatusUnknown, Text: "job " + t.id + ": its state is not known, because no status_command is set"}, nil
		}
		if err := l.poller.ensureFresh(ctx, t, l.settings.interval()); err != nil {
			return sdk.Status{}, fmt.Errorf("%w; last known: %s", l.system.unreachable(err), t.summary())
		}
	}
	counts := t.counts()
	st := sdk.Status{State: sdk.StatusUnknown, Text: t.summary()}
	running, pending, total := counts[Running], counts[Queued], l.job.elementCount()
	switch {
	case t.hasEnded():
		st.State = sdk.StatusStopped
	case running > 0:
		st.State = sdk.StatusRunning
	case pending > 0:
		st.State = sdk.StatusPending
	}
	if l.state.Layout == LayoutTasks {
		running, pending, total = running*l.state.N, pending*l.state.N, l.state.N
	}
	st.Running, st.Pending, st.Total = &running, &pending, &total
	return st, nil
}

// Stop deletes the job and waits until the system reports that nothing of it is left.
func (l *Launcher) Stop(ctx context.Context) error {
	t := l.job
	t.mu.Lock()
	t.stopping = true
	t.mu.Unlock()
	pause, again := time.Second, time.Time{}
	var deleteErr, queryErr error // of the last attempts
	for !t.hasEnded() {
		if now := time.Now(); now.After(again) {
			again = now.Add(10 * time.Second)
			err := l.system.delete(ctx, t.id, l.settings.commandLimit())
			if ctx.Err() == nil {
				deleteErr = err
			}
			var f *commandError
			switch {
			case err == nil && len(l.system.Query) == 0:
				return l.assumeEnded()
			case err == nil:
			case !errors.As(err, &f) || len(l.system.Query) == 0:
				return err // the command does not exist, or the job can't be queried
			default:
				again = time.Now().Add(pause)
				pause = min(2*pause, 10*time.Second)
			}
		}
		if err := l.poller.refresh(ctx); ctx.Err() == nil {
			queryErr = err
		}
		if t.hasEnded() {
			break
		}
		if ctx.Err() != nil {
			var text strings.Builder
			fmt.Fprintf(&text, "%s still has %s", l.system.Title, t.summary())
			for _, trouble := range []error{deleteErr, queryErr} {
				if trouble != nil {
					fmt.Fprintf(&text, " (%v)", trouble)
				}
			}
			return fmt.Errorf("%s: %w", text.String(), ctx.Err())
		}
	}
	l.removeUnused()
	return nil
}

// removeUnused removes files that a job that has ended no longer needs: the file of its
// variables, and the system's own output file if it is empty.
func (l *Launcher) removeUnused() {
	if l.state.FileName != "" {
		_ = os.Remove(privateFile(l.state.FileName)) // it may not exist
	}
	if file := spoolFile(l.state.Output); l.state.Output != "" {
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Size() == 0 {
			_ = os.Remove(file) // it may be gone
		}
	}
}

// assumeEnded marks a job that can't be queried as ended.
func (l *Launcher) assumeEnded() error {
	t := l.job
	t.mu.Lock()
	var ends []int
	for i := range t.elements {
		if e := &t.elements[i]; !e.state.Ended() {
			*e = element{state: Cancelled, code: -1}
			t.countEnd(*e)
			ends = append(ends, i)
		}
	}
	t.mu.Unlock()
	t.reportEnds(ends)
	return nil
}

// Output returns the last lines of the job's output files.
func (l *Launcher) Output(_ context.Context, remove bool) (string, error) {
	return l.job.output(l.state.Output, remove)
}

// Close stops watching the job, which keeps running.
func (l *Launcher) Close() error {
	l.closing.Do(func() {
		if l.poller != nil && l.job != nil {
			l.poller.remove(l.job)
		}
	})
	return nil
}

// Signal sends a signal to every process of the job.
func (l signaling) Signal(ctx context.Context, signal string) error {
	number, err := process.ParseSignal(signal)
	if err != nil {
		return err
	}
	if l.job.hasEnded() {
		return fmt.Errorf("%w: %s", sdk.ErrProcessState, l.job.summary())
	}
	if len(l.system.Signal) == 0 {
		return fmt.Errorf("%w: %s has no command that signals a job; --%sLauncher.signal_command=... sets one", sdk.ErrUnsupported, l.system.Title, l.system.Class)
	}
	words := l.system.expand(l.system.Signal, nil, l.job.id)
	for i := range words {
		words[i] = strings.ReplaceAll(words[i], "{signal}", fmt.Sprint(int(number)))
	}
	_, _, err = l.system.run(ctx, command{words: words, option: "signal_command", limit: l.settings.commandLimit()})
	var f *commandError
	switch {
	case errors.As(err, &f) && (f.gone || f.ended):
		return fmt.Errorf("%w: %w", sdk.ErrProcessState, err)
	case errors.As(err, &f) && f.down:
		return l.system.unreachable(err)
	}
	return err
}
