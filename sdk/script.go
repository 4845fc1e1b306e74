package sdk

import (
	"context"
	"fmt"
	"slices"
	"strings"

	pb "github.com/ipcore/ipcore/sdk/proto/launcher/v1"
)

// Scripter is a Launcher that can say what its Start would submit.
type Scripter interface {
	// Script changes nothing, on the system or on disk. It is called on a Launcher
	// that was not started. With check it asks the system whether it would accept the
	// request: ErrBadOption when it would not, with its own words, ErrUnsupported when
	// it can't be asked.
	Script(ctx context.Context, r StartRequest, check bool) (Script, error)
}

// Script is what a Start would submit.
type Script struct {
	Text    string // the file, byte for byte; "" if there is none
	Command string // what would be run, as lines for a shell
	Answer  string // with check: what the system said
}

// Script answers what a Start would submit.
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
		err = fmt.Errorf("%w: kind %q is not started by this launcher, which starts %v", ErrBadOption, r.Kind, s.info.Kinds)
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

// ShellQuote quotes a word for a POSIX shell where it needs it.
func ShellQuote(word string) string {
	plain := word != "" && !strings.ContainsFunc(word, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("/._-+:@%,=", r)
	})
	if plain {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// fresh makes a Launcher that is in no table.
func (s *server) newLauncher(kind Kind, id string) Launcher {
	return s.factory(kind, Host{ID: id, Log: s.log.With("id", id)}.withDefaults())
}
