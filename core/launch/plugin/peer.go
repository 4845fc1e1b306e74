package plugin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
)

// peerDialer connects to the address that the plugin has printed, after checking that the
// address is allowed and that the plugin listens there.
type peerDialer struct {
	addr net.Addr
	pid  int
}

// expect checks the address on which the plugin says that it listens, and sets it. It is
// called before the first dial. A Unix socket has to be in the folder that the host created.
func (d *peerDialer) expect(addr net.Addr, dir string, pid int) error {
	switch a := addr.(type) {
	case *net.UnixAddr:
		real, err := filepath.EvalSymlinks(a.Name)
		if err != nil {
			return fmt.Errorf("the plugin's socket: %w", err)
		}
		if dir, err = filepath.EvalSymlinks(dir); err != nil {
			return fmt.Errorf("the socket's folder: %w", err)
		}
		if filepath.Dir(real) != dir {
			return fmt.Errorf("the plugin listens on %s, which is not in the folder %s", a.Name, dir)
		}
	case *net.TCPAddr:
		if !a.IP.IsLoopback() {
			return fmt.Errorf("the plugin listens on %v, which is not a loopback address", a)
		}
	}
	d.addr, d.pid = addr, pid
	return nil
}

func (d *peerDialer) dial(ctx context.Context, _ string) (net.Conn, error) {
	if d.addr == nil {
		return nil, errors.New("the plugin's address is not known yet")
	}
	c, err := new(net.Dialer).DialContext(ctx, d.addr.Network(), d.addr.String())
	if err != nil {
		return nil, err
	}
	if u, ok := c.(*net.UnixConn); ok {
		if err := checkPeer(u, d.pid); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	return c, nil
}
