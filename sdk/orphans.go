package sdk

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	pb "github.com/ipcore/ipcore/sdk/proto/launcher/v1"
)

// Sweeper is a Launcher that finds by tag what is left on its system, whichever
// plugin process started it. Its methods are called on a Launcher that was not
// started, of the first of the plugin's kinds that is a Sweeper.
type OrphanFinder interface {
	// Survivors answers what carries a tag that q.Tag covers. It changes nothing.
	// ErrUnknownStatus: the system, or a part of it, could not be asked.
	Orphans(ctx context.Context, q OrphanQuery) ([]Orphan, error)

	// Remove ends survivors that Survivors answered, and returns when none of them is
	// there. One that had ended before is no error, and what has got its number since
	// is left alone.
	RemoveOrphans(ctx context.Context, q OrphanQuery, s []Orphan) error
}

// Sweep says what to look for, and where.
type OrphanQuery struct {
	// Tag is how the tags begin: a whole tag, or a part of one up to a "-".
	Tag string

	// Options are the launcher's own, as in StartRequest, for what is needed to reach
	// the system. May be empty.
	Options json.RawMessage

	// States are those that the host has of workloads of the launcher. They may tell
	// where to look.
	States []State
}

// Covers tells whether a tag is one that is looked for.
func (q OrphanQuery) Covers(tag string) bool {
	rest, ok := strings.CutPrefix(tag, strings.TrimSuffix(q.Tag, "-"))
	return ok && q.Tag != "" && (rest == "" || rest[0] == '-')
}

// Survivor is a process or job that carries a tag.
type Orphan struct {
	ID   string // names it for Remove, and tells it from what gets the same number later
	Tag  string // the whole tag
	Text string // what it is, for people: "process 4711: ipcore engine", "job 17 (RUNNING)"
}

// maxTag is the length of the longest tag.
const maxTag = 40

// validTag tells whether a text may be a tag, or none.
func validTag(tag string) bool {
	return len(tag) <= maxTag && !strings.ContainsFunc(tag, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// Survivors answers what carries a tag.
func (c *Client) Orphans(ctx context.Context, q OrphanQuery) ([]Orphan, error) {
	in := &pb.SurvivorsRequest{Tag: q.Tag, Options: q.Options}
	for _, s := range q.States {
		in.States = append(in.States, s)
	}
	out, err := c.rpc.Survivors(ctx, in)
	if err != nil {
		return nil, fromStatus(err)
	}
	return orphansFromWire(out.GetSurvivors()), nil
}

// Remove ends survivors.
func (c *Client) RemoveOrphans(ctx context.Context, q OrphanQuery, s []Orphan) error {
	_, err := c.rpc.Remove(ctx, &pb.RemoveRequest{Survivors: orphansToWire(s), Options: q.Options})
	return fromStatus(err)
}

func (s *server) Survivors(ctx context.Context, in *pb.SurvivorsRequest) (*pb.SurvivorsResponse, error) {
	q := OrphanQuery{Tag: in.GetTag(), Options: in.GetOptions()}
	for _, state := range in.GetStates() {
		q.States = append(q.States, state)
	}
	if q.Tag == "" || !validTag(q.Tag) {
		return nil, s.wireError(fmt.Errorf("%w: tag %.50q: want 1 to %d letters, digits and -", ErrBadOption, q.Tag, maxTag))
	}
	l, done, err := s.orphanFinder()
	if err != nil {
		return nil, s.wireError(err)
	}
	defer done()
	found, err := l.Orphans(ctx, q)
	if err != nil {
		return nil, s.wireError(err)
	}
	return &pb.SurvivorsResponse{Survivors: orphansToWire(found)}, nil
}

func (s *server) Remove(ctx context.Context, in *pb.RemoveRequest) (*pb.RemoveResponse, error) {
	l, done, err := s.orphanFinder()
	if err != nil {
		return nil, s.wireError(err)
	}
	defer done()
	if err := l.RemoveOrphans(ctx, OrphanQuery{Options: in.GetOptions()}, orphansFromWire(in.GetSurvivors())); err != nil {
		return nil, s.wireError(err)
	}
	return &pb.RemoveResponse{}, nil
}

// sweeper makes a Launcher that can sweep, and what lets it go.
func (s *server) orphanFinder() (OrphanFinder, func(), error) {
	for _, k := range s.info.Kinds {
		l := s.newLauncher(k, "sweep")
		if sweeper, ok := l.(OrphanFinder); ok {
			return sweeper, func() { closeLauncher(l) }, nil
		}
		closeLauncher(l)
	}
	return nil, nil, fmt.Errorf("%w: %s", ErrUnsupported, CapabilityOrphans)
}

func orphansToWire(all []Orphan) []*pb.Survivor {
	out := make([]*pb.Survivor, len(all))
	for i, s := range all {
		out[i] = &pb.Survivor{Id: validText(s.ID), Tag: validText(s.Tag), Text: validText(s.Text)}
	}
	return out
}

func orphansFromWire(all []*pb.Survivor) []Orphan {
	out := make([]Orphan, len(all))
	for i, s := range all {
		out[i] = Orphan{ID: s.GetId(), Tag: s.GetTag(), Text: s.GetText()}
	}
	return out
}
