package sdk

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	pb "github.com/ipcore/ipcore/sdk/proto/launcher/v1"
)

// New makes a Launcher for one workload. It does no work yet.
type Factory func(kind Kind, env Host) Launcher

// server translates the contract's calls to Launchers and keeps the table of
// them. mu guards the table only and is never held while a Launcher works.
type server struct {
	pb.UnimplementedLauncherServer
	info    Info
	factory Factory
	log     hclog.Logger

	ctx    context.Context // ends with the plugin
	cancel context.CancelFunc
	group  sync.WaitGroup // the watchers, and what Start and FromDict do
	starts sync.WaitGroup // what Start and FromDict do

	mu        sync.Mutex
	workloads map[string]*workload
	closed    bool // nothing new is claimed
}

var _ pb.LauncherServer = (*server)(nil)

func newServer(ctx context.Context, info Info, launcher Factory, log hclog.Logger) *server {
	if info.PollEvery <= 0 {
		info.PollEvery = 5 * time.Second
	}
	s := &server{info: info, factory: launcher, log: log, workloads: make(map[string]*workload)}
	s.ctx, s.cancel = context.WithCancel(ctx)
	return s
}

// close ends all watching; workloads run on. It waits for at most d, since a
// launcher may be deaf. A Start whose host is gone has that long to clean up.
func (s *server) close(d time.Duration) {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	ended := make(chan struct{})
	go func() { // owned by close; a deaf Wait keeps it until the process exits
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

// stopUnknown stops, when the host has died, what it had started and not named
// again: it may have died before it had written the state down, and nobody
// could find the workload any more. It waits for Starts that are under way.
func (s *server) stopUnknown(d time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	begun := make(chan struct{})
	go func() { // a deaf launcher keeps it until the process exits
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
			s.log.Warn("stopped what the host had started before it died", "id", w.id)
		})
	}
	stops.Wait()
}

func (e Host) withDefaults() Host {
	if e.Log == nil {
		e.Log = hclog.NewNullLogger()
	}
	if e.Changed == nil {
		e.Changed = func(Change) {}
	}
	return e
}

// claim puts a new id into the table, for open.
func (s *server) claim(id string, kind Kind) (*workload, error) {
	if id == "" {
		return nil, fmt.Errorf("%w: the id is empty", ErrBadOption)
	}
	if !slices.Contains(s.info.Kinds, kind) {
		return nil, fmt.Errorf("%w: kind %q is not started by this launcher, which starts %v", ErrBadOption, kind, s.info.Kinds)
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

// get answers a workload whose Start or FromDict has returned.
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

// find answers the workload of an id that the host has named in a call: so it
// has the state that Start answered.
func (s *server) find(id string) (*workload, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w, ok := s.workloads[id]; ok {
		w.mu.Lock()
		w.knownToHost = w.started
		w.mu.Unlock()
		return w, nil
	}
	return nil, fmt.Errorf("%w: nothing is known of %q", ErrNotRunning, id)
}

// fail makes an error of a launcher into the answer to a call.
func (s *server) wireError(err error) error { return toStatus(s.info.Name, err) }

func (s *server) Start(ctx context.Context, in *pb.StartRequest) (*pb.StartResponse, error) {
	r, err := startRequest(in)
	if err != nil {
		return nil, s.wireError(err)
	}
	if err := s.info.CheckOptions(r.Kind, r.Options); err != nil {
		return nil, s.wireError(err)
	}
	if err := ctx.Err(); err != nil {
		return nil, s.wireError(err) // the caller has gone, and may have asked already whether there is anything to stop
	}
	w, err := s.claim(r.ID, r.Kind)
	if err != nil {
		return nil, s.wireError(err)
	}
	state, err := s.open(ctx, w, func() error {
		if err := w.launcher.Start(ctx, r); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			s.discard(ctx, w) // nobody gets the state
			return err
		}
		return nil
	})
	if err != nil {
		return nil, s.wireError(err)
	}
	return &pb.StartResponse{State: state}, nil
}

func (s *server) FromDict(ctx context.Context, in *pb.FromDictRequest) (*pb.FromDictResponse, error) {
	if held, err := s.get(in.GetId()); err == nil && !held.hasStopped() {
		state, err := held.launcher.ToDict(ctx)
		return &pb.FromDictResponse{State: state}, s.wireError(err)
	} else if err == nil {
		return nil, s.wireError(fmt.Errorf("%w: %q has ended", ErrNotRunning, in.GetId()))
	}
	given := State(in.GetState())
	if !given.isObject() {
		return nil, s.wireError(fmt.Errorf("%w: the state is not a JSON object", ErrBadOption))
	}
	w, err := s.claim(in.GetId(), Kind(in.GetKind()))
	if err != nil {
		return nil, s.wireError(err)
	}
	state, err := s.open(ctx, w, func() error { return w.launcher.FromDict(ctx, given) })
	if err != nil {
		return nil, s.wireError(err)
	}
	w.mu.Lock()
	w.knownToHost = true // the host had its state before
	w.mu.Unlock()
	return &pb.FromDictResponse{State: state}, nil
}

// open runs Start or FromDict of a claimed workload, and begins to watch it. When
// that fails, or panics, the id is free again.
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

// giveUp ends a workload whose state nobody has: what can't be found again must not
// run on.
func (s *server) discard(ctx context.Context, w *workload) {
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if err := w.launcher.Stop(limited); err != nil {
		s.log.Error("a workload without a state could not be stopped", "id", w.id, "error", err)
	}
}

// look asks a fresh launcher whether the workload of a state is there.
func (s *server) checkState(ctx context.Context, w *workload, state State) error {
	l := s.factory(w.kind, Host{ID: w.id, Log: s.log.With("id", w.id)}.withDefaults())
	defer closeLauncher(l)
	return l.FromDict(ctx, state)
}

func (s *server) Stop(ctx context.Context, in *pb.StopRequest) (*pb.StopResponse, error) {
	w, err := s.get(in.GetId())
	if err == nil && !w.hasStopped() {
		limited, cancel := withMargin(ctx)
		defer cancel()
		err = w.stop(limited)
	}
	if err != nil {
		return nil, s.wireError(err)
	}
	return &pb.StopResponse{}, nil
}

// early ends a little before ctx does, so that what a launcher says of a workload
// which does not end still gets to the host.
func withMargin(ctx context.Context) (context.Context, context.CancelFunc) {
	end, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, end.Add(-min(time.Second, time.Until(end)/10)))
}

func (s *server) ToDict(ctx context.Context, in *pb.ToDictRequest) (*pb.ToDictResponse, error) {
	w, err := s.get(in.GetId())
	if err != nil {
		return nil, s.wireError(err)
	}
	state, err := w.launcher.ToDict(ctx)
	if err != nil {
		return nil, s.wireError(err)
	}
	return &pb.ToDictResponse{State: state}, nil
}

func (s *server) Detach(_ context.Context, in *pb.DetachRequest) (*pb.DetachResponse, error) {
	w, err := s.find(in.GetId())
	if err != nil {
		return &pb.DetachResponse{}, nil //nolint:nilerr // an unknown id is detached already
	}
	if _, err := s.get(in.GetId()); err != nil {
		return nil, s.wireError(err)
	}
	s.forget(w)
	return &pb.DetachResponse{}, nil
}

func (s *server) Events(in *pb.EventsRequest, stream pb.Launcher_EventsServer) error {
	w, err := s.find(in.GetId())
	if err != nil {
		return s.wireError(err)
	}
	after := in.GetAfter()
	for {
		events, complete, more := w.since(after)
		for _, e := range events {
			if err := stream.Send(eventToWire(e)); err != nil {
				return err
			}
			after = e.Seq
		}
		if complete {
			return nil
		}
		select {
		case <-more:
		case <-stream.Context().Done():
			return s.wireError(stream.Context().Err())
		case <-w.watching.Done():
			// The end may have been told at the same moment.
			if _, complete, _ := w.since(after); complete {
				continue
			}
			return s.wireError(fmt.Errorf("%w: %q was let go", ErrNotRunning, w.id))
		}
	}
}

func (s *server) Signal(ctx context.Context, in *pb.SignalRequest) (*pb.SignalResponse, error) {
	l, err := capability[Signaler](s, in.GetId(), CapabilitySignal)
	if err == nil {
		err = l.Signal(ctx, in.GetSignal())
	}
	if err != nil {
		return nil, s.wireError(err)
	}
	return &pb.SignalResponse{}, nil
}

func (s *server) Output(ctx context.Context, in *pb.OutputRequest) (*pb.OutputResponse, error) {
	l, err := capability[Outputter](s, in.GetId(), CapabilityOutput)
	if err != nil {
		return nil, s.wireError(err)
	}
	text, err := l.Output(ctx, in.GetRemove())
	if err != nil {
		return nil, s.wireError(err)
	}
	return &pb.OutputResponse{Text: validText(text)}, nil
}

func (s *server) ConnectionInfo(ctx context.Context, in *pb.ConnectionInfoRequest) (*pb.ConnectionInfoResponse, error) {
	l, err := capability[ConnectionInfoer](s, in.GetId(), CapabilityConnectionInfo)
	if err != nil {
		return nil, s.wireError(err)
	}
	info, err := l.ConnectionInfo(ctx)
	if err != nil {
		return nil, s.wireError(err)
	}
	return &pb.ConnectionInfoResponse{Client: info.Client, Engine: info.Engine}, nil
}

func (s *server) Status(ctx context.Context, in *pb.StatusRequest) (*pb.StatusResponse, error) {
	l, err := capability[Statuser](s, in.GetId(), CapabilityStatus)
	if err != nil {
		return nil, s.wireError(err)
	}
	st, err := l.Status(ctx)
	if err != nil {
		return nil, s.wireError(err)
	}
	return &pb.StatusResponse{
		State: validText(st.State), Text: validText(st.Text),
		Running: intToWire(st.Running), Pending: intToWire(st.Pending), Total: intToWire(st.Total),
	}, nil
}

func intToWire(n *int) *int32 {
	if n == nil {
		return nil
	}
	return new(int32(*n))
}

func intFromWire(n *int32) *int {
	if n == nil {
		return nil
	}
	return new(int(*n))
}

// power answers the launcher of an id as the optional interface P.
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

// startRequest reads and checks a request.
func startRequest(in *pb.StartRequest) (StartRequest, error) {
	r := StartRequest{
		Kind: Kind(in.GetKind()), ID: in.GetId(),
		ProfileDir: in.GetProfileDir(), ClusterID: in.GetClusterId(),
		Command: in.GetCommand(), Env: in.GetEnvironment(),
		WorkDir: in.GetWorkDir(), LogDir: in.GetLogDir(), Options: in.GetOptions(),
		Tag: in.GetTag(), ClientFile: in.GetClientFile(), EngineFile: in.GetEngineFile(),
	}
	if len(r.Command) == 0 || r.Command[0] == "" {
		return r, fmt.Errorf("%w: the command is empty", ErrBadOption)
	}
	if slices.ContainsFunc(r.Command, hasNUL) {
		return r, fmt.Errorf("%w: the command holds a NUL character", ErrBadOption)
	}
	for name, value := range r.Env {
		if name == "" || strings.Contains(name, "=") || hasNUL(name) || hasNUL(value) {
			return r, fmt.Errorf("%w: environment variable %.50q can't be set: no environment holds it", ErrBadOption, name)
		}
	}
	if !validTag(r.Tag) {
		return r, fmt.Errorf("%w: tag %.50q: want at most %d letters, digits and -", ErrBadOption, r.Tag, maxTag)
	}
	if in.N != nil {
		if in.GetN() < 1 || in.GetN() > MaxN {
			return r, fmt.Errorf("%w: n is %d, want 1 to %d", ErrBadOption, in.GetN(), MaxN)
		}
		r.N = new(int(in.GetN()))
	}
	switch {
	case r.N == nil, r.Kind == Engine, r.Kind == SingleEngine && *r.N == 1:
	default:
		return r, fmt.Errorf("%w: n is %d, and a %s is one", ErrBadOption, *r.N, r.Kind)
	}
	if r.LogDir == "" && r.ProfileDir != "" {
		r.LogDir = filepath.Join(r.ProfileDir, "log")
	}
	return r, nil
}

// hasNUL tells whether a text ends early for every system call.
func hasNUL(s string) bool { return strings.ContainsRune(s, 0) }

var eventKinds = map[EventKind]pb.EventKind{
	EventRunning: pb.EventKind_EVENT_KIND_RUNNING,
	EventChanged: pb.EventKind_EVENT_KIND_CHANGED,
	EventStopped: pb.EventKind_EVENT_KIND_STOPPED,
}

func eventToWire(e Event) *pb.Event {
	out := &pb.Event{
		Seq: e.Seq, Id: e.ID, Kind: eventKinds[e.Kind], ExitCode: int32(e.Exit.Code),
		Text: e.Text, Signal: validText(e.Exit.Signal), Reason: validText(e.Exit.Reason),
	}
	if e.Index >= 0 {
		out.Index = new(int32(e.Index))
	}
	return out
}

func eventFromWire(in *pb.Event) Event {
	e := Event{
		Seq: in.GetSeq(), ID: in.GetId(), Index: -1, Text: in.GetText(),
		Exit: Exit{Code: int(in.GetExitCode()), Signal: in.GetSignal(), Reason: in.GetReason(), Output: in.GetText()},
	}
	for kind, wire := range eventKinds {
		if wire == in.GetKind() {
			e.Kind = kind
		}
	}
	if in.Index != nil {
		e.Index = int(in.GetIndex())
	}
	return e
}

// startToWire is the inverse of startRequest.
func startToWire(r StartRequest) *pb.StartRequest {
	out := &pb.StartRequest{
		Kind: string(r.Kind), Id: r.ID, ProfileDir: r.ProfileDir, ClusterId: r.ClusterID,
		Command: r.Command, Environment: r.Env, WorkDir: r.WorkDir, LogDir: r.LogDir,
		Options: r.Options, Tag: r.Tag, ClientFile: r.ClientFile, EngineFile: r.EngineFile,
	}
	if r.N != nil {
		out.N = new(int32(*r.N))
	}
	return out
}
