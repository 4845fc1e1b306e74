// Package scheduler is the task queue: it decides which engine runs a task and
// when, follows dependencies, retries tasks, handles lost engines, and replies
// to a task that cannot run.
//
// The decisions are a state machine (machine) without goroutines, clocks or
// sockets. Scheduler runs one machine, on one goroutine at a time. Content and
// buffers of messages are never looked into.
//
// # Who runs the scheduler
//
// The goroutines that read connections do. A reader verifies and peeks at each
// message and puts it into the inbox. At the end of its read it calls
// ProcessPending: the reader that gets the mutex running processes everything
// in the inbox, that of other readers as well. A reader that finds the mutex
// taken continues to read; the holder looks at the inbox again after it has
// unlocked. So a message wakes no other goroutine.
//
//	client A ─► reader A ─┐ Submit              ┌────────────────┐
//	client B ─► reader B ─┼────────► inbox ────►│ machine        │──► Link: queue
//	engine 1 ─► reader 1 ─┤ Result     ▲        │ guarded by the │    for engines
//	engine 2 ─► reader 2 ─┘            │        │ mutex running  │    and clients
//	hub ─ EngineUp, EngineDown ────────┘        └────────────────┘        │
//	                                               ▲                      ▼
//	 end of a read: ProcessPending ─ TryLock ──────┤             Link.Flush: sockets
//	 Run: timeouts, changes of engines, the rest ──┘             write one batch each
//
// A reader processes at most maxRounds batches in a row; Run, the scheduler's
// own goroutine, handles the rest. When inboxSize messages wait, a reader waits
// for the mutex instead of reading more.
//
// # What waits where
//
// A task is either running on an engine, parked until tasks that it depends on
// end, or ready. Ready tasks that no engine has capacity for wait in a class:
// the tasks that the same set of engines may take. Most tasks share one class,
// "any engine". An engine with free capacity takes the oldest task among the
// heads of the classes that admit it, so neither a submission nor a reply walks
// over all engines or all waiting tasks.
package scheduler
