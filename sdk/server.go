package sdk

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	pb "github.com/ipcore/ipcore/sdk/proto/launcher/v1"
)

// Factory returns a new Launcher for one workload. It must not start anything: the sdk
// also calls it to find out which capabilities a kind has, and to poll a workload.
type Factory func(kind Kind, host Host) Launcher

// server keeps the workloads of the plugin and implements the contract's calls.
type server struct {
	pb.UnimplementedLauncherServer
	info    Info
	factory Factory
	log     hclog.Logger

	ctx    context.Context // ends with the plugin
	cancel context.CancelFunc
	group  sync.WaitGroup // watchers, and calls of Start and FromDict
	starts sync.WaitGroup // calls of Start and FromDict

	mu        sync.Mutex // guards the fields below; never held while a Launcher is called
	workloads map[string]*workload
	closed    bool // claim refuses every id
}

func newServer(ctx context.Context, info Info, launcher Factory, log hclog.Logger) *server {
	if info.PollEvery <= 0 {
		info.PollEvery = 5 * time.Second
	}
	s := &server{info: info, factory: launcher, log: log, workloads: make(map[string]*workload)}
	s.ctx, s.cancel = context.WithCancel(ctx)
	return s
}

// close stops watching all workloads, which keep running. It waits at most d for the
// watchers, because a launcher may not respond, and for calls of Start, which clean
// up when their host is gone.
func (s *server) close(d time.Duration) {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	ended := make(chan struct{})
	go func() { // ends with the watchers; if a Wait does not return, with the process
		s.group.Wait()
		close(ended)
	}()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ended:
	case <-t.C:
	}
}

// stopUnknown is called when the host has died. It stops the workloads that the host
// started and did not name in a later call: the host may have died before it saved
// the state, and then nobody could find the workload again. It first waits for calls
// of Start that are in progress, and takes at most d.
func (s *server) stopUnknown(d time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	begun := make(chan struct{})
	go func() { // ends with the calls; if a launcher does not return, with the process
		s.starts.Wait()
		close(begun)
	}()
	select {
	case <-begun:
	case <-ctx.Done():
	}
	s.mu.Lock()
	held := slices.Collect(maps.Values(s.workloads))
	s.mu.Unlock()
	var stops sync.WaitGroup
	for _, w := range held {
		if !w.unknownToHost() {
			continue
		}
		stops.Go(func() {
			if err := w.stop(ctx); err != nil {
				s.log.Error("a workload that the host may not know of could not be stopped", "id", w.id, "error", err)
				return
			}
			s.log.Warn("stopped a workload that the host had started before it died", "id", w.id)
		})
	}
	stops.Wait()
}

func (h Host) withDefaults() Host {
	if h.Log == nil {
		h.Log = hclog.NewNullLogger()
	}
	if h.Changed == nil {
		h.Changed = func(Change) {}
	}
	return h
}

// claim reserves a new id for a call of open.
func (s *server) claim(id string, kind Kind) (*workload, error) {
	if id == "" {
		return nil, fmt.Errorf("%w: the id is empty", ErrBadOption)
	}
	if !slices.Contains(s.info.Kinds, kind) {
		return nil, fmt.Errorf("%w: this launcher does not start the kind %q; it starts %v", ErrBadOption, kind, s.info.Kinds)
	}
	w := newWorkload(s.ctx, id, kind)
	w.launcher = s.factory(kind, Host{ID: id, Log: s.log.With("id", id), Changed: w.changed}.withDefaults())
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.workloads[id]; ok {
		return nil, fmt.Errorf("%w: %q was started already", ErrProcessState, id)
	}
	if s.closed {
		return nil, fmt.Errorf("%w: the plugin is ending", ErrPluginGone)
	}
	s.workloads[id] = w
	s.group.Add(1)
	s.starts.Add(1)
	return w, nil
}

// forget takes a workload out of the table.
func (s *server) forget(w *workload) {
	s.mu.Lock()
	if s.workloads[w.id] == w {
		delete(s.workloads, w.id)
	}
	s.mu.Unlock()
	w.detach()
}

// get returns a workload whose Start or FromDict has returned.
func (s *server) get(id string) (*workload, error) {
	w, err := s.find(id)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.started {
		return nil, fmt.Errorf("%w: %q is still being started", ErrProcessState, id)
	}
	return w, nil
}

// find returns the workload of an id that the host has named in a call, which shows
// that the host has the state that Start returned.
func (s *server) find(id string) (*workload, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w, ok := s.workloads[id]; ok {
		w.mu.Lock()
		w.knownToHost = w.started
		w.mu.Unlock()
		return w, nil
	}
	return nil, fmt.Errorf("%w: no workload has the id %q", ErrNotRunning, id)
}

// wireError converts an error of a launcher to the error of a call.
func (s *server) wireError(err error) error { return toStatus(s.info.Name, err) }

// open calls f, which runs the Start or FromDict of a claimed workload, and starts to
// watch the workload. When f fails or panics, the id is free again.
func (s *server) open(ctx context.Context, w *workload, f func() error) (State, error) {
	defer s.group.Done() // claim has added it
	defer s.starts.Done()
	opened := false
	defer func() {
		if !opened {
			s.forget(w)
		}
	}()
	if err := f(); err != nil {
		return nil, err
	}
	state, err := w.launcher.ToDict(ctx)
	if err == nil && !state.isObject() {
		err = fmt.Errorf("the launcher's state is not a JSON object: %.60q", []byte(state))
	}
	if err != nil {
		s.discard(ctx, w)
		return nil, err
	}
	opened = true
	w.begin(&s.group, func() {
		w.watch(s.info.PollEvery, func(ctx context.Context, st State) error { return s.checkState(ctx, w, st) })
	})
	return state, nil
}

// discard stops a workload whose state nobody has, and which could therefore not be
// found again.
func (s *server) discard(ctx context.Context, w *workload) {
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if err := w.launcher.Stop(limited); err != nil {
		s.log.Error("a workload without a state could not be stopped", "id", w.id, "error", err)
	}
}

// checkState asks a new launcher whether the workload of a state is running.
func (s *server) checkState(ctx context.Context, w *workload, state State) error {
	l := s.factory(w.kind, Host{ID: w.id, Log: s.log.With("id", w.id)}.withDefaults())
	defer closeLauncher(l)
	return l.FromDict(ctx, state)
}

// capability returns the launcher of an id as the interface P.
func capability[P any](s *server, id string, name Capability) (P, error) {
	var none P
	w, err := s.get(id)
	if err != nil {
		return none, err
	}
	p, ok := w.launcher.(P)
	if !ok || !allows(w.launcher, name) {
		return none, fmt.Errorf("%w: %s", ErrUnsupported, name)
	}
	return p, nil
}

// newLauncher returns a new Launcher that belongs to no workload of the server.
func (s *server) newLauncher(kind Kind, id string) Launcher {
	return s.factory(kind, Host{ID: id, Log: s.log.With("id", id)}.withDefaults())
}
