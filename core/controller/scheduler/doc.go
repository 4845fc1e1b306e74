// Package scheduler is the task queue: it decides which engine runs a task and
// when, follows dependencies, retries and lost engines, and answers a task that
// cannot run.
//
// The decisions are a state machine (machine) without goroutines, clocks or
// sockets. Scheduler runs one machine, on one goroutine at a time: connection
// readers verify and peek at messages, put them into the inbox, and at the end
// of each read one of them handles all that is there, for everybody. What the
// machine sends leaves through a Link, flushed after each batch. Content and
// buffers are never looked into.
//
// # What waits where
//
// A task is either running on an engine, parked on the tasks it depends on, or
// ready. Ready tasks that no engine has room for wait in a class: the tasks
// that the same set of engines may take. Most tasks share one class, "any
// engine". An engine with new room takes the oldest task among the heads of
// the classes that admit it, so neither a submission nor a reply walks over
// engines or over waiting tasks.
package scheduler
