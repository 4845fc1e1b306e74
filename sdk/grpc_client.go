package sdk

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"

	pb "github.com/ipcore/ipcore/sdk/proto/launcher/v1"
)

// Client is the host's side of a connection to a plugin. Each method is one call of
// the contract, and its errors wrap the errors of this package. Its methods may be
// called concurrently. Authors of launchers do not need it.
type Client struct {
	rpc    pb.LauncherClient
	health grpc_health_v1.HealthClient
	done   <-chan struct{}
}

// NewClient returns a Client that uses a connection to a plugin.
func NewClient(c grpc.ClientConnInterface) *Client {
	return &Client{rpc: pb.NewLauncherClient(c), health: grpc_health_v1.NewHealthClient(c)}
}

// Done returns a channel that is closed when the plugin process has ended, or nil
// when the Client was not made by go-plugin and so does not know.
func (c *Client) Done() <-chan struct{} { return c.done }

// Ping returns nil if the plugin answers a health check.
func (c *Client) Ping(ctx context.Context) error {
	_, err := c.health.Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: "plugin"})
	return fromStatus(err)
}

// Start requests a workload and returns its state.
func (c *Client) Start(ctx context.Context, r StartRequest) (State, error) {
	out, err := c.rpc.Start(ctx, startToWire(r))
	return State(out.GetState()), fromStatus(err)
}

// Stop ends a workload and returns when nothing of it is left.
func (c *Client) Stop(ctx context.Context, id string) error {
	_, err := c.rpc.Stop(ctx, &pb.StopRequest{Id: id})
	return fromStatus(err)
}

// FromDict has the plugin find a workload from its state, and returns the state as it
// is now.
func (c *Client) FromDict(ctx context.Context, kind Kind, id string, s State) (State, error) {
	out, err := c.rpc.FromDict(ctx, &pb.FromDictRequest{Kind: string(kind), Id: id, State: s})
	return State(out.GetState()), fromStatus(err)
}

// ToDict returns the state of a workload.
func (c *Client) ToDict(ctx context.Context, id string) (State, error) {
	out, err := c.rpc.ToDict(ctx, &pb.ToDictRequest{Id: id})
	return State(out.GetState()), fromStatus(err)
}

// Detach has the plugin forget an id; the workload keeps running.
func (c *Client) Detach(ctx context.Context, id string) error {
	_, err := c.rpc.Detach(ctx, &pb.DetachRequest{Id: id})
	return fromStatus(err)
}

// Signal sends a signal, by number or name, to a workload.
func (c *Client) Signal(ctx context.Context, id, signal string) error {
	_, err := c.rpc.Signal(ctx, &pb.SignalRequest{Id: id, Signal: signal})
	return fromStatus(err)
}

// Output returns the last output of a workload. With remove it is deleted afterwards.
func (c *Client) Output(ctx context.Context, id string, remove bool) (string, error) {
	out, err := c.rpc.Output(ctx, &pb.OutputRequest{Id: id, Remove: remove})
	return out.GetText(), fromStatus(err)
}

// ConnectionInfo returns a controller's connection files.
func (c *Client) ConnectionInfo(ctx context.Context, id string) (ConnectionInfo, error) {
	out, err := c.rpc.ConnectionInfo(ctx, &pb.ConnectionInfoRequest{Id: id})
	return ConnectionInfo{Client: out.GetClient(), Engine: out.GetEngine()}, fromStatus(err)
}

// Status returns what the system reports about a workload.
func (c *Client) Status(ctx context.Context, id string) (Status, error) {
	out, err := c.rpc.Status(ctx, &pb.StatusRequest{Id: id})
	if err != nil {
		return Status{}, fromStatus(err)
	}
	return Status{
		State: out.GetState(), Text: out.GetText(),
		Running: intFromWire(out.Running), Pending: intFromWire(out.Pending), Total: intFromWire(out.Total),
	}, nil
}

// Events calls f with every event of an id whose Seq is greater than after, in order,
// and waits for new ones. It returns nil after the last event, f's error if f fails,
// or the error that ended the stream early.
func (c *Client) Events(ctx context.Context, id string, after uint64, f func(Event) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.rpc.Events(ctx, &pb.EventsRequest{Id: id, After: after})
	if err != nil {
		return fromStatus(err)
	}
	stopped := false
	for {
		in, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF) && !stopped && after == 0:
			return errors.New("the plugin ended the stream of events before the event \"stopped\"")
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fromStatus(err)
		}
		e := eventFromWire(in)
		stopped = stopped || e.Kind == EventStopped
		if err := f(e); err != nil {
			return err
		}
	}
}
