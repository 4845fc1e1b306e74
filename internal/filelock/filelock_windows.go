package filelock

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

func lock(f *os.File) error {
	err := windows.LockFileEx(windows.Handle(f.Fd()),
		windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &windows.Overlapped{})
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return ErrHeld
	}
	return err
}

// remove closes the file before it deletes it: an open file can't be deleted. If another
// process has opened the file meanwhile, the file is kept for that process.
func remove(f *os.File) error {
	err := f.Close()
	_ = os.Remove(f.Name())
	return err
}
