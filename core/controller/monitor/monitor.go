// Package monitor describes the messages that pass through a controller to whoever
// records them, which is the hub. Relays and the task scheduler call a Monitor; they
// do not know the hub, and the hub does not know them.
package monitor

// Topic says where a relayed message was seen.
type Topic uint8

// The topics have the names that IPython Parallel gives them. Requests pass towards
// engines ("in"), replies towards clients ("out").
const (
	In           Topic = iota // a direct request
	Out                       // its reply
	InTask                    // a load-balanced request
	OutTask                   // its reply, from the engine or from the scheduler
	InControl                 // a control request
	OutControl                // its reply
	InBroadcast               // one engine's copy of a broadcast
	OutBroadcast              // its reply
	IOPub                     // output of an engine
)

var names = [...]string{"in", "out", "intask", "outtask", "incontrol", "outcontrol", "inbcast", "outbcast", "iopub"}

// String returns the name of the topic in IPython Parallel.
func (t Topic) String() string { return names[t] }

// Submission is what the scheduler has read of a task's request. The strings may be
// views of its frames.
type Submission struct {
	ID      string // msg_id
	Session string // the client's
	Date    string
	Label   string
}

// Answer is what has been read of the reply to a request. The strings may be views of
// frames that nobody writes again.
type Answer struct {
	ID      string // msg_id of the request
	Status  string // "ok", "error", "aborted", or "" if the metadata has none
	Engine  string // uuid; "" if the request never reached one
	Started string // a date
}

// Tasks is notified by the task scheduler, of each message before anything that
// follows from it. Frames begin at the delimiter; they may be kept, and nobody
// changes them any more.
type Tasks interface {
	// Submitted reports a verified task.
	Submitted(msg [][]byte, s Submission)
	// Assigned reports that a task was sent to an engine.
	Assigned(msgID, engine string)
	// Answered reports the reply that a task's client gets.
	Answered(msg [][]byte, a Answer)
}

// Monitor is notified of every message that passes. Its methods are called on
// goroutines that carry messages and must not wait.
type Monitor interface {
	Tasks
	// Relayed reports a message of a relay, with its signature checked, before it is
	// passed on. engine and client are the routing ids of both ends, nil where they
	// are not known. msg begins at the delimiter; its frames are borrowed as those of
	// a sockets.Handler are.
	Relayed(topic Topic, engine, client []byte, msg [][]byte)
}
