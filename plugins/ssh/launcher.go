package ssh

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/ipcore/ipcore/sdk"
)

// atOnce is how many hosts are worked on at the same time.
const atOnce = 16

// Launcher is the launcher of one controller, engine, or set of engines.
type Launcher struct {
	kind  sdk.Kind
	host  sdk.Host
	proxy bool

	plan     *plan // nil: restored
	state    state // what does not change
	machines []*machine

	watching context.Context // ends with Close
	close    context.CancelFunc
	watchers sync.WaitGroup
	ended    chan struct{} // closed when all processes have ended

	// mu may be held while host.Changed takes the sdk's lock, never the other way.
	mu       sync.Mutex
	stopping bool
	closed   bool // ended is closed
	exit     sdk.Exit
}

var (
	_ sdk.Launcher     = (*Launcher)(nil)
	_ sdk.Waiter       = (*Launcher)(nil)
	_ sdk.Signaler     = (*Launcher)(nil)
	_ sdk.Outputter    = (*Launcher)(nil)
	_ sdk.Statuser     = (*Launcher)(nil)
	_ sdk.Scripter     = (*Launcher)(nil)
	_ sdk.OrphanFinder = (*Launcher)(nil)
)

func newLauncher(kind sdk.Kind, host sdk.Host, proxy bool) *Launcher {
	l := &Launcher{kind: kind, host: host, proxy: proxy, ended: make(chan struct{})}
	l.watching, l.close = context.WithCancel(context.Background())
	return l
}

// unreachable reports whether an error means that a host's state is unknown.
func unreachable(err error) bool { return errors.Is(err, errUnreachable) }

// Start starts the processes, on all hosts at the same time. If one host fails, it ends
// what was started on the others.
func (l *Launcher) Start(ctx context.Context, r sdk.StartRequest) error {
	p, err := newPlan(l.kind, l.proxy, r)
	if err != nil {
		return err
	}
	p.job = rand.Text()
	l.plan = p
	l.state = state{Job: p.job, Tag: r.Tag, ProfileDir: r.ProfileDir, ClusterID: r.ClusterID}
	if l.proxy {
		l.state.N = p.proxied()
	}
	if r.N != nil && l.kind == sdk.Engine && !l.proxy {
		if n := p.total(); n < *r.N {
			l.host.Log.Warn("the hosts of engines take fewer than asked for", "asked_for", *r.N, "started", n)
		}
	}
	from := 0
	clean := make([]bool, len(p.places))
	firsts := make([]int, len(p.places))
	for i, at := range p.places {
		l.machines = append(l.machines, &machine{target: at.target, key: at.key, kick: make(chan struct{}, 1)})
		firsts[i] = from
		from += at.n
	}
	err = l.each(func(i int, m *machine) error {
		clean[i] = true
		ipcore, err := p.prepare(ctx, &m.target)
		if err != nil {
			return err
		}
		content := p.content
		if m.target.Tunnel && l.kind != sdk.Controller && !l.proxy {
			if content, err = p.openBack(ctx, m); err != nil {
				return err
			}
		}
		clean[i], err = m.launch(ctx, p.script(&p.places[i], firsts[i], ipcore, content))
		if err == nil && len(m.members) != p.places[i].n {
			err = fmt.Errorf("%s: %d of %d processes were started, and it does not say why", m.target.name(), len(m.members), p.places[i].n)
		}
		if err == nil && l.kind != sdk.Controller {
			err = m.target.fetchAll(ctx)
		}
		return err
	})
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return errors.Join(err, l.abandon(clean))
	}
	l.watch()
	return nil
}

// total returns how many engines the places take.
func (p *plan) total() int {
	n := 0
	for _, at := range p.places {
		n += at.n
	}
	return n
}

// abandon ends what a failed start has started. clean[i] is set if all processes that
// were started on host i are known.
func (l *Launcher) abandon(clean []bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), callLimit)
	defer cancel()
	return l.each(func(i int, m *machine) error {
		defer m.target.letGo(ctx)
		if m.tunnel != nil {
			_ = m.tunnel.close(ctx) // the first error is the one that matters
		}
		if clean[i] && len(m.members) == 0 && len(m.made) == 0 {
			return nil
		}
		_, err := m.stop(ctx, 0)
		if err == nil && !clean[i] {
			err = m.sweep(ctx, l.state.Job)
		}
		if err != nil {
			return fmt.Errorf("processes may have been left there: %w", err)
		}
		return nil
	})
}

// each calls f for every machine, several at the same time, and waits.
func (l *Launcher) each(f func(i int, m *machine) error) error {
	errs := make([]error, len(l.machines))
	slots := make(chan struct{}, atOnce)
	var group sync.WaitGroup
	for i, m := range l.machines {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			errs[i] = f(i, m)
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// FromDict finds the processes of a state again. The error wraps sdk.ErrNotRunning only
// if every host reports that none runs.
func (l *Launcher) FromDict(ctx context.Context, given sdk.State) error {
	if err := given.Decode(&l.state); err != nil {
		return err
	}
	machines, err := l.state.machines()
	if err != nil {
		return err
	}
	l.machines = machines
	known := l.state
	l.state = state{Job: known.Job, Tag: known.Tag, ProfileDir: known.ProfileDir, ClusterID: known.ClusterID}
	if l.proxy {
		l.state.N = known.N
	}
	total := 0
	err = l.each(func(_ int, m *machine) error {
		found, err := m.look(ctx, m.members)
		l.mu.Lock()
		defer l.mu.Unlock()
		total += len(m.members)
		m.trouble = err
		for _, e := range m.members {
			if s, ok := found[e.index]; ok && !s.runs {
				e.ended, e.exit = true, s.exit
				l.host.Log.Info("a process has ended meanwhile", "host", m.target.name(), "index", e.index, "code", s.exit.Code)
			}
		}
		return err
	})
	left := 0
	for _, m := range l.machines {
		if m.trouble == nil {
			left += m.left()
		}
	}
	switch {
	case left > 0:
		// Others may be on hosts that can't be reached now.
	case err != nil:
		return fmt.Errorf("%w: %w", sdk.ErrUnknownStatus, err)
	default:
		return fmt.Errorf("%w: none of %d processes is running", sdk.ErrNotRunning, total)
	}
	l.watch()
	return nil
}

// ToDict returns the state, with the processes that run, or with all of them when none
// runs.
func (l *Launcher) ToDict(context.Context) (sdk.State, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.state
	s.Version = stateVersion
	s.ofMachines(l.machines, l.kind == sdk.Engine && !l.proxy)
	return sdk.NewState(s)
}

// Wait waits until all processes have ended. The end of each engine of a set is reported
// as a change, unless Stop has been called.
func (l *Launcher) Wait(ctx context.Context) (sdk.Exit, error) {
	select {
	case <-l.ended:
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.exit, nil
	case <-ctx.Done():
		return sdk.Exit{Code: -1}, ctx.Err()
	}
}

// Close stops watching the processes, which keep running.
func (l *Launcher) Close() error {
	l.close()
	l.watchers.Wait()
	return nil
}

// Stop ends all processes, on all hosts at the same time.
func (l *Launcher) Stop(ctx context.Context) error {
	l.mu.Lock()
	l.stopping = true
	l.mu.Unlock()
	return l.each(func(_ int, m *machine) error {
		defer m.target.letGo(context.WithoutCancel(ctx))
		grace := seconds(*m.target.Grace)
		patient := ctx
		if ctx.Err() != nil { // asked to hurry
			var cancel context.CancelFunc
			patient, cancel = context.WithTimeout(context.WithoutCancel(ctx), callLimit)
			defer cancel()
			grace = 0
		}
		exits, err := m.stop(patient, grace)
		l.mu.Lock()
		t := m.tunnel
		l.mu.Unlock()
		if t != nil && err == nil {
			err = t.close(context.WithoutCancel(ctx))
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if err != nil && m.left() == 0 && unreachable(err) {
			return nil // no process was left there
		}
		if err != nil {
			return fmt.Errorf("%w: processes may still run there: %w", sdk.ErrUnknownStatus, err)
		}
		m.made = nil
		for _, e := range m.members {
			exit, ok := exits[e.index]
			if !ok {
				exit = sdk.Exit{Code: -1}
			}
			l.end(e, exit)
		}
		return nil
	})
}

// Signal sends a signal to the processes that run. The error wraps sdk.ErrProcessState
// when none runs.
func (l *Launcher) Signal(ctx context.Context, signal string) error {
	name, err := signalFor(signal)
	if err != nil {
		return err
	}
	reached := 0
	err = l.each(func(_ int, m *machine) error {
		l.mu.Lock()
		running := m.running()
		l.mu.Unlock()
		if len(running) == 0 {
			return nil
		}
		n, err := m.signal(ctx, name, running)
		l.mu.Lock()
		defer l.mu.Unlock()
		reached += n
		m.lookSoon()
		return err
	})
	if err == nil && reached == 0 {
		return fmt.Errorf("%w: all processes have ended", sdk.ErrProcessState)
	}
	return err
}

// Output returns the last lines of every process.
func (l *Launcher) Output(ctx context.Context, remove bool) (string, error) {
	texts := make(map[int]string)
	total := 0
	err := l.each(func(_ int, m *machine) error {
		found, err := m.output(ctx, remove)
		l.mu.Lock()
		defer l.mu.Unlock()
		total += len(m.members)
		maps.Copy(texts, found)
		return err
	})
	var out strings.Builder
	for i := range total {
		for _, m := range l.machines {
			for _, e := range m.members {
				if text := texts[e.index]; e.index == i && strings.TrimSpace(text) != "" {
					if total > 1 {
						fmt.Fprintf(&out, "engine %d on %s:\n", i, m.target.name())
					}
					out.WriteString(text)
				}
			}
		}
	}
	return out.String(), err
}

// Status returns what the last poll found, and has the hosts polled soon.
func (l *Launcher) Status(context.Context) (sdk.Status, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	running, total, unknown := 0, 0, 0
	var texts []string
	for _, m := range l.machines {
		m.lookSoon()
		total += len(m.members)
		if m.trouble != nil && m.left() > 0 {
			unknown += m.left()
			texts = append(texts, m.trouble.Error())
			continue
		}
		running += m.left()
	}
	if l.proxy { // only the requested number of engines behind one ipcluster is known
		running, total = running*l.state.N, total*l.state.N
	}
	s := sdk.Status{State: sdk.StatusRunning, Text: strings.Join(texts, "; "), Running: &running, Pending: new(0), Total: &total}
	switch {
	case unknown > 0 && running == 0:
		return s, fmt.Errorf("%w: %s", sdk.ErrUnknownStatus, s.Text)
	case unknown > 0:
		s.Running = nil // not known
	case running == 0:
		s.State = sdk.StatusStopped
	}
	return s, nil
}

// Script returns the script that would be run on each host.
func (l *Launcher) Script(ctx context.Context, r sdk.StartRequest, check bool) (sdk.Script, error) {
	p, err := newPlan(l.kind, l.proxy, r)
	if err != nil {
		return sdk.Script{}, err
	}
	p.job, p.show = "(of this start)", true
	var s sdk.Script
	var commands, answers []string
	from := 0
	for i := range p.places {
		at := &p.places[i]
		commands = append(commands, shellLine(append(append(append([]string(nil), at.target.SSH...), at.target.args()...), "exec /bin/sh -s")))
		s.Text += fmt.Sprintf("# %s\n%s%s\n", at.target.name(), libScript, p.script(at, from, "", ""))
		from += at.n
		if check {
			lines, err := at.target.call(ctx, "where\n")
			if err != nil {
				return sdk.Script{}, fmt.Errorf("%w: %w", sdk.ErrBadOption, err)
			}
			answers = append(answers, at.target.name()+": "+strings.Join(lines, " "))
		}
	}
	s.Command, s.Answer = strings.Join(commands, "\n"), strings.Join(answers, "\n")
	return s, nil
}

func shellLine(words []string) string { return quoter{}.words(words) }

// end records that a process has ended. The caller holds mu.
func (l *Launcher) end(e *member, exit sdk.Exit) {
	if e.ended {
		return
	}
	e.ended, e.exit = true, exit
	if l.exit.Code == 0 && l.exit.Signal == "" {
		l.exit = exit
	}
	left := 0
	for _, other := range l.machines {
		left += other.left()
	}
	if !l.stopping && l.kind == sdk.Engine && !l.proxy {
		l.host.Changed(sdk.Change{Index: e.index, Exit: exit})
	}
	if left == 0 && !l.closed {
		l.closed = true
		close(l.ended)
	}
}

// watch starts one watcher for each host.
func (l *Launcher) watch() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.machines {
		if m.left() > 0 {
			l.watchers.Go(func() { l.watchMachine(m) })
		}
	}
}

const (
	// maxPause is the longest time between two polls of a host that can't be reached.
	maxPause = time.Minute
	// minPause is the time until a poll that lookSoon asked for.
	minPause = 200 * time.Millisecond
)

// watchMachine polls a host until all its processes have ended or Close is called. While
// the host can't be reached it polls less and less often.
func (l *Launcher) watchMachine(m *machine) {
	every := max(seconds(m.target.Poll), time.Duration(len(l.machines))*50*time.Millisecond)
	pause := every
	for {
		select {
		case <-time.After(pause):
		case <-m.kick:
			select {
			case <-time.After(minPause):
			case <-l.watching.Done():
			}
		case <-l.watching.Done():
		}
		if l.watching.Err() != nil {
			return
		}
		l.mu.Lock()
		running := m.running()
		l.mu.Unlock()
		if len(running) == 0 {
			return
		}
		found, err := m.look(l.watching, running)
		l.mu.Lock()
		t := m.tunnel
		l.mu.Unlock()
		again := false
		if err == nil && t != nil {
			again, err = t.keep(l.watching, &m.target, l.state.Tag)
		}
		if l.watching.Err() != nil {
			return
		}
		l.mu.Lock()
		if again && err == nil { // so that the host has the new state
			l.host.Changed(sdk.Change{Index: -1, Text: "the tunnel to " + m.target.name() + " was broken and is there again"})
		}
		if err == nil {
			pause = every
		} else {
			pause = min(2*max(pause, time.Second), maxPause)
		}
		l.note(m, err, pause)
		for _, e := range running {
			if s, ok := found[e.index]; ok && !s.runs {
				l.end(e, s.exit)
			}
		}
		ended := m.left() == 0
		l.mu.Unlock()
		if ended && t != nil {
			if err := t.close(l.watching); err != nil {
				l.host.Log.Warn("a tunnel could not be ended", "host", m.target.name(), "error", err)
			}
		}
	}
}

// note reports when a host can't be reached, and when it can be reached again. The caller
// holds mu.
func (l *Launcher) note(m *machine, err error, again time.Duration) {
	switch {
	case err != nil && m.trouble == nil && !l.stopping:
		l.host.Log.Warn("lost sight of a host; its processes count as running", "host", m.target.name(), "error", err, "again_in", again)
		l.host.Changed(sdk.Change{Index: -1, Text: err.Error() + "; its processes count as running until it answers"})
	case err == nil && m.trouble != nil:
		l.host.Log.Info("a host answers again", "host", m.target.name())
	}
	m.trouble = err
}

// lookSoon has the host polled soon.
func (m *machine) lookSoon() {
	select {
	case m.kick <- struct{}{}:
	default:
	}
}
