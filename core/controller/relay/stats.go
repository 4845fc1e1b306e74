package relay

import (
	"context"

	"github.com/ipcore/ipcore/core/controller/scheduler"
	"github.com/ipcore/ipcore/core/sockets"
	"github.com/ipcore/ipcore/core/wire"
)

// Stats are what a queue has done on both of its sides.
type Stats struct {
	Clients, Engines sockets.Stats // of a broadcast all leaves together
	Refused          wire.RefusalStats
}

// Stats answers the numbers of now.
func (d *Direct) Stats() Stats {
	return Stats{Clients: d.Clients.Stats(), Engines: d.Engines.Stats(), Refused: d.drops.refused.Stats()}
}

// Stats answers the numbers of now.
func (p *IOPub) Stats() Stats {
	return Stats{Clients: p.Clients.Stats(), Engines: p.Engines.Stats(), Refused: p.drops.refused.Stats()}
}

// Stats answers the numbers of now.
func (t *Task) Stats() Stats {
	return Stats{Clients: t.Clients.Stats(), Engines: t.Engines.Stats(), Refused: t.drops.refused.Stats()}
}

// Stats answers the numbers of now.
func (b *Broadcast) Stats() Stats {
	s := Stats{Clients: b.Clients.Stats(), Refused: b.drops.refused.Stats()}
	for _, leaf := range b.Leaves {
		s.Engines = s.Engines.Plus(leaf.Stats())
	}
	return s
}

// Scheduling answers what the scheduler says of its tasks; nil for the scheme
// "pure", which has none. It fails when there is no answer before ctx ends.
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
