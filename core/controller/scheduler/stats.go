package scheduler

import (
	"context"
	"errors"
	"fmt"
)

// Stats counts the tasks of a scheduler.
type Stats struct {
	Engines   int
	Running   int   // tasks on engines
	Waiting   Waits // tasks that wait
	HeldBytes int64 // bytes of all tasks that have not ended

	// Counted since the start.
	Submitted      uint64
	Completed      uint64 // ended without an error
	Failed         uint64 // ended with an error, including those of the scheduler
	Retried        uint64 // times that a task was run again after a failure
	LostWithEngine uint64 // tasks that failed because their engine was lost
	Duplicates     uint64 // tasks dropped because their msg_id was submitted before
}

// Waits counts waiting tasks by what they wait for.
type Waits struct {
	Dependencies   int // for other tasks
	NoEngines      int // for an engine to register, as there is none
	AnyEngine      int // for capacity on any engine
	CertainEngines int // for capacity on certain engines, because of targets or dependencies
}

// counters counts what has happened in a machine.
type counters struct{ completed, failed, retried, lostWithEngine, duplicates uint64 }

// Stats asks the scheduler for its numbers. An error means that the scheduler has
// ended, or did not reply before ctx ended.
func (s *Scheduler) Stats(ctx context.Context) (Stats, error) {
	result := make(chan Stats, 1)
	select {
	case s.statsRequests <- result:
		return <-result, nil // the request was taken, so the reply comes soon
	case <-s.done:
		return Stats{}, errors.New("the scheduler has stopped")
	case <-ctx.Done():
		return Stats{}, fmt.Errorf("the scheduler does not reply: %w", ctx.Err())
	}
}

// stats returns the current numbers, in time O(engines).
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
