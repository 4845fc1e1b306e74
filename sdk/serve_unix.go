//go:build unix

package sdk

import (
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// caughtSignals are the signals whose default action, to end the plugin, must not
// happen. SIGPIPE arrives when the host, which reads the plugin's log, is gone.
var caughtSignals = []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE}

// endsPlugin reports whether the signal asks the plugin to end.
func endsPlugin(s os.Signal) bool { return s == syscall.SIGTERM || s == syscall.SIGHUP }

// privateUmask makes new files inaccessible to other users until the returned function
// is called, once or more often. Workloads get the user's umask.
func privateUmask() func() {
	old := syscall.Umask(0o077)
	var once sync.Once
	return func() { once.Do(func() { syscall.Umask(old) }) }
}

// stdoutHasNoReader reports whether stdout is a pipe whose reader is gone.
func stdoutHasNoReader() bool {
	fds := []unix.PollFd{{Fd: int32(syscall.Stdout)}} // poll always reports errors
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0 && fds[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0
}
