package hub

import (
	"bytes"

	"github.com/ipcore/ipcore/core/controller/monitor"
	"github.com/ipcore/ipcore/core/wire"
)

// eventKind says which list of a batch an event is in.
type eventKind uint8

const (
	eventRequest eventKind = iota
	eventRelayed
	eventSubmitted
	eventAssigned
	eventAnswered
	eventEngine
)

// clientMessage is a message of the query socket.
type clientMessage struct {
	peer    []byte // routing id of the sender
	address string // of the sender, for the log
	frames  [][]byte
}

// relayedMessage is a message that a relay has passed on.
type relayedMessage struct {
	topic  monitor.Topic
	engine []byte   // uuid
	frames [][]byte // from the delimiter on; they may be kept if backlog.own is set, except for output
}

// submittedTask is a task that the scheduler has read.
type submittedTask struct {
	monitor.Submission
	frames [][]byte
}

// assignedTask is a task that the scheduler has sent to an engine.
type assignedTask struct {
	id     string
	engine string // uuid
}

// answeredTask is a reply that the scheduler has read.
type answeredTask struct {
	monitor.Answer
	frames [][]byte
}

// engineEvent reports that an engine can be reached or is lost.
type engineEvent struct {
	uuid  string
	ready bool   // it can be reached; otherwise it is lost
	cause string // of its loss
}

// Request is a message from the query socket: the routing id of its sender, the
// sender's address for the log, and its frames after the routing id. The frames are
// borrowed.
func (h *Hub) Request(peer []byte, address string, frames [][]byte) {
	h.backlog.addRequest(peer, address, frames)
}

// Relayed takes a message that a relay passes on. Call it before the message is passed
// on, so that a request is recorded before its reply, and only with messages whose
// signature is checked. Frames of at least 64 KiB are kept and must not be written
// again; the others are copied.
func (h *Hub) Relayed(topic monitor.Topic, engine, _ []byte, msg [][]byte) {
	limit := h.backlog.limit
	switch topic {
	case monitor.In, monitor.Out, monitor.InTask, monitor.OutTask, monitor.InBroadcast, monitor.OutBroadcast:
	case monitor.IOPub:
		if isStatus(msg) {
			return
		}
		limit /= 2
	default:
		return // control messages are not recorded
	}
	h.backlog.addRelayed(topic, engine, msg, limit)
}

// Submitted takes a task's request. Its frames are kept.
func (h *Hub) Submitted(msg [][]byte, s monitor.Submission) { h.backlog.addSubmitted(s, msg) }

// Assigned records that the scheduler has sent a task to an engine.
func (h *Hub) Assigned(msgID, engineUUID string) { h.backlog.addAssigned(msgID, engineUUID) }

// Answered takes the reply to a task. Its frames are kept.
func (h *Hub) Answered(msg [][]byte, a monitor.Answer) { h.backlog.addAnswered(a, msg) }

// Ready reports that a registering engine can be reached: it is connected to all
// sockets and has answered a ping.
func (h *Hub) Ready(uuid string) { h.backlog.addEngine(engineEvent{uuid: uuid, ready: true}) }

// Lost reports that an engine is gone.
func (h *Hub) Lost(uuid, cause string) { h.backlog.addEngine(engineEvent{uuid: uuid, cause: cause}) }

var statusTypes = [][]byte{[]byte(`"msg_type": "status"`), []byte(`"msg_type":"status"`)}

// isStatus recognizes most of the busy and idle messages, half of all output, by
// the text of their header. recordOutput recognizes the others later.
func isStatus(msg [][]byte) bool {
	const header = 2
	if len(msg) <= header || string(msg[0]) != wire.Delimiter {
		return false
	}
	return bytes.Contains(msg[header], statusTypes[0]) || bytes.Contains(msg[header], statusTypes[1])
}
