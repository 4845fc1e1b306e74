package controller

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/ipcore/ipcore/core/sockets"
	"github.com/ipcore/ipcore/core/wire"
)

// noticeAge is how long a notification is told to new subscribers.
const noticeAge = 10 * time.Second

// notices publishes what the hub tells all clients. A client asks for the list
// of engines first and subscribes to changes of it then; what changed between
// is lost to it. So the latest notifications are told again to whoever
// subscribes, under new msg_ids; knowing them twice does no harm.
type notices struct {
	*sockets.Socket
	session *wire.Session

	mu     sync.Mutex
	recent []notice
}

type notice struct {
	at      time.Time
	kind    string // msg_type
	content json.RawMessage
}

// publish sends a notification, frames from the delimiter on, to everybody.
func (n *notices) publish(frames [][]byte) error {
	m, err := wire.Parse(frames)
	if err != nil {
		return err
	}
	h, err := wire.PeekHeader(m.Header)
	if err != nil {
		return err
	}
	now := time.Now()
	n.mu.Lock()
	n.recent = append(n.fresh(now), notice{now, h.MsgType, json.RawMessage(m.Content)})
	n.mu.Unlock()
	return n.Send(frames...)
}

// fresh answers the recent notices without those that are too old. The caller
// holds mu.
func (n *notices) fresh(now time.Time) []notice {
	for len(n.recent) > 0 && now.Sub(n.recent[0].at) > noticeAge {
		n.recent = n.recent[1:]
	}
	return n.recent
}

// catchUp is told of subscriptions.
func (n *notices) catchUp(c *sockets.Conn, _ []byte, on bool) {
	if !on {
		return
	}
	n.mu.Lock()
	missed := append([]notice(nil), n.fresh(time.Now())...)
	n.mu.Unlock()
	for _, old := range missed {
		m, err := n.session.Message(old.kind, nil, nil, old.content)
		if err != nil || c.Enqueue(m.AppendFrames(nil)...) != nil {
			break // the client has left
		}
	}
	c.Flush()
}
