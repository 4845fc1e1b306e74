package sockets

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// Pauses after a failed accept: the first and the longest. Each is twice the one before.
const (
	acceptPause    = 5 * time.Millisecond
	acceptPauseMax = time.Second
)

var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3}

// hostPort returns the host and port of a "tcp://host:port".
func hostPort(endpoint string) (string, error) {
	addr, ok := strings.CutPrefix(endpoint, "tcp://")
	if !ok {
		return "", fmt.Errorf("endpoint %q: must be tcp://host:port", endpoint)
	}
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return "", fmt.Errorf("endpoint %q: %w", endpoint, err)
	}
	return addr, nil
}

// Listen binds "tcp://host:port" and returns the port. The host * means all IPv4
// interfaces, the port 0 any free port.
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

// accept accepts connections until the listener is closed.
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

// logAcceptError logs why new peers are not served.
func (s *Socket) logAcceptError(l net.Listener, err error, full bool) {
	if !full {
		s.log.Error("cannot accept connections: will try again", "address", l.Addr().String(), "error", err)
		return
	}
	s.log.Error("cannot accept connections: this process has reached its limit of open files; new peers are refused",
		"address", l.Addr().String(), "limit", openFilesLimit(), "error", err,
		"hint", "raise the limit (ulimit -n) and start the controller again; each engine needs 8 files, each client 7")
}

// pause waits for d. It returns false at once if the socket is closed.
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
