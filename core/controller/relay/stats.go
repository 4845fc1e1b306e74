package relay

import (
	"context"

	"github.com/ipcore/ipcore/core/controller/scheduler"
	"github.com/ipcore/ipcore/core/sockets"
	"github.com/ipcore/ipcore/core/wire"
)

// Stats describe the traffic of a relay on both sides.
type Stats struct {
	Clients, Engines sockets.Stats // of a broadcast: all leaves together
	Refused          wire.RefusalStats
}

// Stats returns the current numbers.
func (d *Direct) Stats() Stats {
	return Stats{Clients: d.Clients.Stats(), Engines: d.Engines.Stats(), Refused: d.drops.refused.Stats()}
}

// Stats returns the current numbers.
func (p *IOPub) Stats() Stats {
	return Stats{Clients: p.Clients.Stats(), Engines: p.Engines.Stats(), Refused: p.drops.refused.Stats()}
}

// Stats returns the current numbers.
func (t *Task) Stats() Stats {
	return Stats{Clients: t.Clients.Stats(), Engines: t.Engines.Stats(), Refused: t.drops.refused.Stats()}
}

// Stats returns the current numbers.
func (b *Broadcast) Stats() Stats {
	s := Stats{Clients: b.Clients.Stats(), Refused: b.drops.refused.Stats()}
	for _, leaf := range b.Leaves {
		s.Engines = s.Engines.Plus(leaf.Stats())
	}
	return s
}

// SchedulerStats returns the scheduler's numbers; nil for the scheme "pure", which
// has no scheduler. It fails if the scheduler does not reply before ctx ends.
func (t *Task) SchedulerStats(ctx context.Context) (*scheduler.Stats, error) {
	if t.sched == nil {
		return nil, nil
	}
	s, err := t.sched.Stats(ctx)
	if err != nil {
		return nil, err
	}
	return &s, nil
}
