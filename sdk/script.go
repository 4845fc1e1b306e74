package sdk

import (
	"context"
	"fmt"
	"slices"

	pb "github.com/ipcore/ipcore/sdk/proto/launcher/v1"
)

// Scripter is a Launcher that can return what its Start would submit.
type Scripter interface {
	// Script returns what Start would submit. It changes nothing on the system or on
	// disk, and is called on a Launcher that was not started. With check it also asks
	// the system whether it would accept the request: the error wraps ErrBadOption, with
	// the system's own words, when it would not, and ErrUnsupported when the system
	// can't be asked that.
	Script(ctx context.Context, r StartRequest, check bool) (Script, error)
}

// Script is what a Start would submit.
type Script struct {
	Text    string // the file, byte for byte; "" if there is none
	Command string // the command that would be run, as lines for a shell
	Answer  string // with check: the system's answer
}

// Script returns what a Start would submit.
func (c *Client) Script(ctx context.Context, r StartRequest, check bool) (Script, error) {
	out, err := c.rpc.Script(ctx, &pb.ScriptRequest{Start: startToWire(r), Check: check})
	return Script{Text: out.GetText(), Command: out.GetCommand(), Answer: out.GetAnswer()}, fromStatus(err)
}

func (s *server) Script(ctx context.Context, in *pb.ScriptRequest) (*pb.ScriptResponse, error) {
	r, err := startRequest(in.GetStart())
	if err == nil {
		err = s.info.CheckOptions(r.Kind, r.Options)
	}
	if err == nil && !slices.Contains(s.info.Kinds, r.Kind) {
		err = fmt.Errorf("%w: this launcher does not start the kind %q; it starts %v", ErrBadOption, r.Kind, s.info.Kinds)
	}
	if err != nil {
		return nil, s.wireError(err)
	}
	l := s.newLauncher(r.Kind, r.ID)
	defer closeLauncher(l)
	scripter, ok := l.(Scripter)
	if !ok {
		return nil, s.wireError(fmt.Errorf("%w: %s", ErrUnsupported, CapabilityScript))
	}
	out, err := scripter.Script(ctx, r, in.GetCheck())
	if err != nil {
		return nil, s.wireError(err)
	}
	return &pb.ScriptResponse{Text: validText(out.Text), Command: validText(out.Command), Answer: validText(out.Answer)}, nil
}
