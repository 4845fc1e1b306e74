package sockets

import "github.com/ipcore/ipcore/core/sockets/zmtp"

var pong = []byte(zmtp.Pong)

// command handles a command that the peer sent between messages or frames.
func (c *Conn) command(body []byte) error {
	kind, rest, err := zmtp.ParseCommand(body)
	switch {
	case err != nil:
		return err
	case kind == zmtp.Ping:
		c.putCommand(pong, rest)
	case c.s.kind != Pub || c.discard.Load():
	case kind == zmtp.Subscribe:
		c.subscribe(rest, true)
	case kind == zmtp.Cancel:
		c.subscribe(rest, false)
	}
	return nil
}
