// Package hub is the controller's memory: it registers engines, keeps an index of
// the requests and tasks that have no reply yet, stores tasks and results in a
// database, and replies to clients' questions.
//
// One goroutine, Run, owns all of that. The other methods put events into a backlog
// that is bounded in bytes and return at once, so goroutines that carry messages
// may call them. Events of one goroutine are handled in their order.
package hub
