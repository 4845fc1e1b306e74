package plugin

import (
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// checkPeer checks that the process at the other end is the plugin, or is in its process
// group: the executable may be a wrapper script that starts the plugin.
func checkPeer(c *net.UnixConn, pid int) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var peer *unix.Ucred
	var peerErr error
	if err := raw.Control(func(fd uintptr) {
		peer, peerErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return err
	}
	if peerErr != nil {
		return fmt.Errorf("find out which process listens on the plugin's socket: %w", peerErr)
	}
	if int(peer.Uid) != os.Getuid() {
		return fmt.Errorf("the plugin's socket is served by uid %d", peer.Uid)
	}
	if int(peer.Pid) == pid {
		return nil
	}
	if group, err := syscall.Getpgid(int(peer.Pid)); err != nil || group != pid {
		return fmt.Errorf("the plugin's socket is served by pid %d, which does not belong to the plugin (pid %d)", peer.Pid, pid)
	}
	return nil
}
