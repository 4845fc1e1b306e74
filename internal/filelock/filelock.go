// Package filelock locks a file for one process at a time. The system releases the lock
// when the process exits. Network file systems may not support locks, so a lock there
// helps, but does not guarantee that no other process has it.
package filelock

import (
	"errors"
	"fmt"
	"os"
)

// ErrHeld reports that another process holds the file.
var ErrHeld = errors.New("held by another process")

// Lock is a locked file.
type Lock struct{ f *os.File }

// Try creates the file if necessary and locks it. It returns ErrHeld if another process
// has locked it. It does not wait.
func Try(path string) (*Lock, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, fmt.Errorf("lock file: %w", err)
		}
		if err := lock(f); err != nil {
			_ = f.Close()
			if errors.Is(err, ErrHeld) {
				return nil, ErrHeld
			}
			return nil, fmt.Errorf("lock file %s: %w", path, err)
		}
		// The previous holder may have removed the file that was opened.
		opened, err := f.Stat()
		if err == nil {
			var current os.FileInfo
			if current, err = os.Stat(path); err == nil && os.SameFile(opened, current) {
				return &Lock{f}, nil
			}
		}
		_ = f.Close()
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("lock file: %w", err)
		}
	}
}

// Remove unlocks the file and deletes it.
func (l *Lock) Remove() error {
	if err := remove(l.f); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("lock file: %w", err)
	}
	return nil
}
