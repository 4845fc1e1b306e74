// Package hub is the controller's memory and its desk: it registers engines,
// keeps the books of what is queued where, stores tasks and results in a
// database and answers clients' questions.
//
// One goroutine, Run, owns all of that. The other methods put events into a
// backlog that is bounded in bytes and return at once, so they may be called
// from goroutines that carry messages. Events of one goroutine are handled in
// their order.
package hub
