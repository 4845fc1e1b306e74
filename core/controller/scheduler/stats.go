package scheduler

import (
	"context"
	"errors"
	"fmt"
)

// Stats are the tasks of a scheduler.
type Stats struct {
	Engines   int
	Running   int   // tasks on engines
	Waiting   Waits // tasks that are not
	HeldBytes int64 // of all tasks that have not ended

	// Since the start.
	Submitted      uint64
	Completed      uint64 // ended without an error
	Failed         uint64 // ended with one, the scheduler's own among them
	Retried        uint64 // runs again after a failure
	LostWithEngine uint64 // tasks that ended because their engine was lost
	Duplicates     uint64 // dropped: their msg_id was there before
}

// Waits says what tasks wait for.
type Waits struct {
	Dependencies   int // for other tasks
	NoEngines      int // for an engine to register: there is none
	AnyEngine      int // for room on any engine
	CertainEngines int // for room on certain engines, by targets or dependencies
}

// tally counts what has happened in a machine.
type counters struct{ completed, failed, retried, lostWithEngine, duplicates uint64 }

// Stats asks the scheduler. An error says that it has ended, or did not answer
// before ctx ended.
func (s *Scheduler) Stats(ctx context.Context) (Stats, error) {
	answer := make(chan Stats, 1)
	select {
	case s.statsRequests <- answer:
		return <-answer, nil // it has been taken, and what follows does not wait
	case <-s.done:
		return Stats{}, errors.New("the task queue has stopped")
	case <-ctx.Done():
		return Stats{}, fmt.Errorf("the task queue does not answer: %w", ctx.Err())
	}
}

// stats answers the numbers of now, in time O(engines).
func (s *Scheduler) stats() Stats {
	m := s.machine
	st := Stats{
		Engines: len(m.engines), Submitted: m.arrivals,
		Completed: m.counters.completed, Failed: m.counters.failed, Retried: m.counters.retried,
		LostWithEngine: m.counters.lostWithEngine, Duplicates: m.counters.duplicates,
	}
	for _, e := range m.engines {
		st.Running += e.load
	}
	st.Waiting.AnyEngine = m.any.waiting.len()
	for _, c := range m.classes {
		st.Waiting.CertainEngines += c.waiting.len()
	}
	st.Waiting.Dependencies = len(m.tasks) - st.Running - st.Waiting.AnyEngine - st.Waiting.CertainEngines
	if st.Engines == 0 {
		st.Waiting.NoEngines = st.Waiting.AnyEngine + st.Waiting.CertainEngines
		st.Waiting.AnyEngine, st.Waiting.CertainEngines = 0, 0
	}
	s.memory.mu.Lock()
	st.HeldBytes = s.memory.held
	s.memory.mu.Unlock()
	return st
}
