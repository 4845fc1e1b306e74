package sockets

import (
	"fmt"
	"net"
	"time"
)

// Pauses between attempts to connect, the first and the longest, and the time for one
// attempt. Each pause is twice as long as the one before.
const (
	dialPause    = 100 * time.Millisecond
	dialPauseMax = 2 * time.Second
	dialTimeout  = 10 * time.Second
)

// Dial connects to "tcp://host:port" in the background, and again whenever the connection
// is lost, until Close. It pauses for 100 ms at first, doubling to 2 s. A connection that
// lasted less than 2 s counts as a failed attempt, so that two peers with the same
// identity do not take it over from each other as fast as they can.
func (s *Socket) Dial(endpoint string) error {
	addr, err := hostPort(endpoint)
	if err != nil {
		return err
	}
	if !s.start(func() { s.keepDialing(endpoint, addr) }) {
		return fmt.Errorf("dial %s: %w", endpoint, ErrClosed)
	}
	return nil
}

// keepDialing keeps one connection to an endpoint.
func (s *Socket) keepDialing(endpoint, addr string) {
	pause := dialPause
	for {
		c, err := s.dialOnce(endpoint, addr)
		if err == nil {
			began := time.Now()
			if c.run(); time.Since(began) > dialPauseMax {
				pause = dialPause
			}
		} else if s.ctx.Err() == nil {
			s.log.Debug("cannot connect yet", "endpoint", endpoint, "error", err)
		}
		if !s.pause(pause) {
			return
		}
		pause = min(2*pause, dialPauseMax)
	}
}

// dialOnce connects and does the handshake.
func (s *Socket) dialOnce(endpoint, addr string) (*Conn, error) {
	d := net.Dialer{Timeout: dialTimeout, KeepAliveConfig: keepAlive}
	conn, err := d.DialContext(s.ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	tcp := conn.(*net.TCPConn)
	e := s.pending.add(tcp, 1<<30) // Close ends it
	defer s.pending.remove(e)
	c, err := s.handshake(tcp, endpoint)
	if err != nil {
		s.refuse(tcp, err)
	}
	return c, err
}
