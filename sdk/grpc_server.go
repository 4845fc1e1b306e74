package sdk

import (
	"context"
	"fmt"
	"time"

	pb "github.com/ipcore/ipcore/sdk/proto/launcher/v1"
)

var _ pb.LauncherServer = (*server)(nil)

func (s *server) Start(ctx context.Context, in *pb.StartRequest) (*pb.StartResponse, error) {
	r, err := startRequest(in)
	if err != nil {
		return nil, s.wireError(err)
	}
	if err := s.info.CheckOptions(r.Kind, r.Options); err != nil {
		return nil, s.wireError(err)
	}
	if err := ctx.Err(); err != nil {
		return nil, s.wireError(err) // the caller is gone, and may already have checked whether there is anything to stop
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
			s.discard(ctx, w) // nobody receives the state
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

// withMargin returns a context that ends a little before ctx does, so that the error
// of a launcher whose workload does not end still reaches the host.
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
		return &pb.DetachResponse{}, nil //nolint:nilerr // an unknown id is already detached
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
			// The event "stopped" may have been added at the same moment.
			if _, complete, _ := w.since(after); complete {
				continue
			}
			return s.wireError(fmt.Errorf("%w: %q was detached", ErrNotRunning, w.id))
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
