//go:build unix

package sdk

import (
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// caughtSignals are those that must not end the plugin by default: SIGPIPE comes
// when the host that reads our log is gone.
var caughtSignals = []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE}

// endsPlugin tells whether the signal asks for an orderly end.
func endsPlugin(s os.Signal) bool { return s == syscall.SIGTERM || s == syscall.SIGHUP }

// privateUmask makes new files the user's own until the answered function is
// called, once or more; workloads get the umask that the user had.
func privateUmask() func() {
	old := syscall.Umask(0o077)
	var once sync.Once
	return func() { once.Do(func() { syscall.Umask(old) }) }
}

// stdoutAbandoned tells whether stdout is a pipe that nobody reads any more.
func stdoutHasNoReader() bool {
	fds := []unix.PollFd{{Fd: int32(syscall.Stdout)}} // errors are told unasked
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0 && fds[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0
}
