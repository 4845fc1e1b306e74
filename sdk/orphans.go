package sdk

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	pb "github.com/ipcore/ipcore/sdk/proto/launcher/v1"
)

// OrphanFinder is a Launcher that finds processes or jobs by their tag, whichever
// plugin process started them. Its methods are called on a Launcher that was not
// started, of the first kind in Info.Kinds whose Launcher is an OrphanFinder.
type OrphanFinder interface {
	// Orphans returns the processes or jobs whose tag q.Covers. It changes nothing. The
	// error wraps ErrUnknownStatus when the system, or a part of it, could not be
	// queried.
	Orphans(ctx context.Context, q OrphanQuery) ([]Orphan, error)

	// RemoveOrphans ends orphans that Orphans returned, and returns when none of them
	// is left. It is not an error if one has already ended. A process or job that has
	// the number of an orphan by now but is another one is left alone.
	RemoveOrphans(ctx context.Context, q OrphanQuery, s []Orphan) error
}

// OrphanQuery says what an OrphanFinder looks for, and where.
type OrphanQuery struct {
	// Tag is a whole tag, or the beginning of one up to a "-".
	Tag string

	// Options are the launcher's own options, as in StartRequest, as far as they are
	// needed to reach the system. They may be empty.
	Options json.RawMessage

	// States are the states of the launcher's workloads that the host has. They may
	// show where to look.
	States []State
}

// Covers reports whether tag is one that the query looks for.
func (q OrphanQuery) Covers(tag string) bool {
	rest, ok := strings.CutPrefix(tag, strings.TrimSuffix(q.Tag, "-"))
	return ok && q.Tag != "" && (rest == "" || rest[0] == '-')
}

// Orphan is a process or job that carries the tag of a cluster.
type Orphan struct {
	ID   string // identifies it for RemoveOrphans, and differs from a later process or job with its number
	Tag  string // the whole tag
	Text string // a description for people: "process 4711: ipcore engine", "job 17 (RUNNING)"
}

// maxTag is the length of the longest tag, in bytes.
const maxTag = 40

// validTag reports whether a text is a valid tag. The empty text is one.
func validTag(tag string) bool {
	return len(tag) <= maxTag && !strings.ContainsFunc(tag, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// Orphans returns the processes or jobs that carry a tag.
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

// RemoveOrphans ends processes or jobs that Orphans returned.
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
		return nil, s.wireError(fmt.Errorf("%w: tag %.50q: must be 1 to %d letters, digits and -", ErrBadOption, q.Tag, maxTag))
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

// orphanFinder returns a new Launcher that is an OrphanFinder, and a function that
// closes it.
func (s *server) orphanFinder() (OrphanFinder, func(), error) {
	for _, k := range s.info.Kinds {
		l := s.newLauncher(k, "orphans")
		if sweeper, ok := l.(OrphanFinder); ok {
			return sweeper, func() { closeLauncher(l) }, nil
		}
		closeLauncher(l)
	}
	return nil, nil, fmt.Errorf("%w: %s", ErrUnsupported, CapabilityOrphans)
}
