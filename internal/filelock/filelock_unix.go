//go:build unix

package filelock

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

func lock(f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EWOULDBLOCK):
			return ErrHeld
		case errors.Is(err, unix.ENOLCK), errors.Is(err, unix.ENOTSUP), errors.Is(err, unix.EINVAL):
			return nil // a file system without locks
		}
		return err
	}
}

// remove deletes the file before it unlocks it: a process that gets the lock then sees
// that the name no longer exists.
func remove(f *os.File) error {
	return errors.Join(os.Remove(f.Name()), f.Close())
}
