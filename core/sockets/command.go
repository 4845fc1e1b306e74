package sockets

import "bytes"

// Commands after the handshake: one byte of name length, the name, the rest.
var (
	ping      = []byte("\x04PING")
	pong      = []byte("\x04PONG")
	subscribe = []byte("\x09SUBSCRIBE")
	cancel    = []byte("\x06CANCEL")
)

const (
	pingTTL     = 2  // bytes between PING and its context
	pingContext = 16 // longest context
)

// command obeys a command that came between messages or frames. What is
// unknown is ignored: later revisions of the protocol may send it.
func (c *Conn) command(body []byte) error {
	switch {
	case bytes.HasPrefix(body, ping):
		rest := body[len(ping):]
		if len(rest) < pingTTL || len(rest) > pingTTL+pingContext {
			return violation("malformed PING")
		}
		c.putCommand(pong, rest[pingTTL:])
	case c.s.kind != Pub || c.discard.Load():
	case bytes.HasPrefix(body, subscribe):
		c.subscribe(body[len(subscribe):], true)
	case bytes.HasPrefix(body, cancel):
		c.subscribe(body[len(cancel):], false)
	}
	return nil
}
