package sockets

import (
	"errors"

	"github.com/ipcore/ipcore/core/sockets/zmtp"
)

// Bounds of the subscriptions of one peer.
const (
	maxTopics     = 4096
	maxTopicBytes = 1 << 20
)

const errTooManyTopics = zmtp.ProtocolError("too many subscriptions")

// topicSet has the topics that one peer of a PUB subscribes to. Its Conn.mu guards it.
type topicSet struct {
	all    bool // the empty topic, which matches every message, is in the set
	topics map[string]struct{}
	bytes  int
}

// matches reports whether the peer subscribes to messages whose first frame is first.
func (t *topicSet) matches(first []byte) bool {
	if t.all {
		return true
	}
	for topic := range t.topics {
		if len(topic) <= len(first) && string(first[:len(topic)]) == topic {
			return true
		}
	}
	return false
}

// set adds or removes a topic and reports whether that changed the set.
func (t *topicSet) set(topic []byte, on bool) (changed bool, err error) {
	_, had := t.topics[string(topic)]
	if had == on {
		return false, nil
	}
	if !on {
		delete(t.topics, string(topic))
		t.bytes -= len(topic)
	} else {
		if len(t.topics) >= maxTopics || t.bytes+len(topic) > maxTopicBytes {
			return false, errTooManyTopics
		}
		if t.topics == nil {
			t.topics = make(map[string]struct{})
		}
		t.topics[string(topic)] = struct{}{}
		t.bytes += len(topic)
	}
	if len(topic) == 0 {
		t.all = on
	}
	return true, nil
}

// publish queues a message for every subscriber whose topics match.
func (s *Socket) publish(frames [][]byte) error {
	var first []byte
	if len(frames) > 0 {
		first = frames[0]
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return ErrClosed
	}
	if s.replay != nil && len(frames) > 0 {
		s.replay.mu.Lock()
		defer s.replay.mu.Unlock()
		s.replay.add(frames)
	}
	for _, c := range s.conns {
		if c.wants(first) && errors.Is(c.put(true, frames...), ErrFull) {
			s.dropped.Add(1)
		}
	}
	return nil
}

// wants reports whether a peer of a PUB subscribes to messages whose first frame is first.
func (c *Conn) wants(first []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.topics.matches(first)
}

// subscribe handles a subscription (on) that a peer of a PUB sent, or the end of one.
func (c *Conn) subscribe(topic []byte, on bool) {
	var changed bool
	var err error
	if on && c.s.replay != nil {
		changed, err = c.s.replay.subscribe(c, topic)
	} else {
		c.mu.Lock()
		changed, err = c.topics.set(topic, on)
		c.mu.Unlock()
	}
	if err != nil {
		c.fail(err)
		return
	}
	if changed && c.s.o.Subscribed != nil {
		c.s.o.Subscribed(c, topic, on)
	}
}

// subscribeMessage handles a message that a peer of a PUB sent: a subscription in the form
// of ZMTP 3.0. Any other message is ignored.
func (c *Conn) subscribeMessage(frames [][]byte) {
	if topic, on, ok := zmtp.ParseSubscription(frames); ok {
		c.subscribe(topic, on)
	}
}

// Subscribe (SUB) asks for the messages whose first frame begins with topic.
func (s *Socket) Subscribe(topic []byte) {
	t := string(topic)
	s.mu.Lock()
	if _, had := s.topics[t]; !had {
		s.topics[t] = struct{}{}
		for _, c := range s.conns {
			if err := c.put(true, zmtp.SubscribeMessage(t)); err != nil {
				c.fail(err) // the next connection repeats all subscriptions
			}
		}
	}
	s.mu.Unlock()
	FlushAll()
}
