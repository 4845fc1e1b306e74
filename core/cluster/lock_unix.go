//go:build unix

package cluster

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// tryLock locks f for this process, or answers errLocked. A file system that
// knows no locks counts as locked by us: create decides there.
func tryLock(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	switch {
	case errors.Is(err, unix.EWOULDBLOCK), errors.Is(err, unix.EINTR):
		return errLocked
	case errors.Is(err, unix.ENOLCK), errors.Is(err, unix.ENOTSUP), errors.Is(err, unix.EINVAL):
		return nil
	}
	return err
}

// removeLocked removes the lock file and lets the lock go, in this order: who
// waits finds that the name is gone and starts again.
func removeLocked(f *os.File, name string) {
	_ = os.Remove(name) // somebody tidied up before us: nothing is lost
	_ = f.Close()
}
