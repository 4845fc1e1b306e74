package sockets

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/ipcore/ipcore/core/sockets/zmtp"
)

// Pauses after a failed accept, doubling.
const (
	acceptPause    = 5 * time.Millisecond
	acceptPauseMax = time.Second
)

var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3}

// hostPort takes the host and port out of a "tcp://host:port".
func hostPort(endpoint string) (string, error) {
	addr, ok := strings.CutPrefix(endpoint, "tcp://")
	if !ok {
		return "", fmt.Errorf("endpoint %q: only tcp://host:port is known", endpoint)
	}
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return "", fmt.Errorf("endpoint %q: %w", endpoint, err)
	}
	return addr, nil
}

// Listen binds "tcp://host:port" ("tcp://*:0" for all IPv4 interfaces, port 0
// for any) and answers the port.
func (s *Socket) Listen(endpoint string) (port int, err error) {
	addr, err := hostPort(endpoint)
	if err != nil {
		return 0, err
	}
	network := "tcp"
	if rest, ok := strings.CutPrefix(addr, "*:"); ok {
		network, addr = "tcp4", "0.0.0.0:"+rest
	}
	config := net.ListenConfig{KeepAliveConfig: keepAlive}
	l, err := config.Listen(s.ctx, network, addr)
	if err != nil {
		if errors.Is(err, context.Canceled) {
			err = ErrClosed
		}
		return 0, fmt.Errorf("listen on %s: %w", endpoint, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = l.Close()
		return 0, ErrClosed
	}
	reserveFD()
	s.listeners = append(s.listeners, l)
	s.wg.Go(func() { s.accept(l) })
	return l.Addr().(*net.TCPAddr).Port, nil
}

// accept takes connections until the listener is closed.
func (s *Socket) accept(l net.Listener) {
	pause := time.Duration(0)
	for {
		accept := l.Accept
		if pause > 0 {
			accept = func() (net.Conn, error) { return acceptAfterShortage(l) }
		}
		conn, err := accept()
		if pause > 0 && errors.Is(err, os.ErrDeadlineExceeded) {
			pause = 0
			continue
		}
		if err != nil {
			if s.ctx.Err() != nil {
				return
			}
			full := outOfFiles(err)
			if pause == 0 {
				s.logAcceptError(l, err, full)
			}
			if full {
				rejectNewcomer(l)
			}
			pause = min(max(2*pause, acceptPause), acceptPauseMax)
			if !s.pause(pause) {
				return
			}
			continue
		}
		pause = 0
		tcp := conn.(*net.TCPConn)
		e := s.pending.add(tcp, s.o.Limits.MaxHandshakes)
		s.wg.Go(func() {
			c, err := s.handshake(tcp, "")
			if !s.pending.remove(e) && err != nil {
				err = errTooManyHandshakes
			}
			if err != nil {
				s.refuse(tcp, err)
				return
			}
			c.run()
		})
	}
}

// cannotAccept logs why newcomers are not served.
func (s *Socket) logAcceptError(l net.Listener, err error, full bool) {
	if !full {
		s.log.Error("cannot accept connections: trying again", "address", l.Addr().String(), "error", err)
		return
	}
	s.log.Error("cannot accept connections: this process has all the files open that it may; newcomers are turned away",
		"address", l.Addr().String(), "limit", openFilesLimit(), "error", err,
		"hint", "raise the limit (ulimit -n) before the controller is started; an engine takes 8 files, a client 7")
}

// ended logs why a connection ended: as a refusal when the peer did what it
// may not.
func (s *Socket) logEnded(c *Conn, err error) {
	if _, ok := errors.AsType[zmtp.ProtocolError](err); ok {
		s.refuse(c.tcp, err)
		return
	}
	s.log.Debug("connection ended", "peer", c.RemoteAddr().String(), "identity", zmtp.Printable(c.id), "reason", err)
}

// wait pauses; false when the socket is closed.
func (s *Socket) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-s.ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
