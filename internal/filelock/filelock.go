// Package filelock lets one process at a time hold a file. The system frees it
// when the process dies. Network file systems may not know locks, so that one
// held there is a help and no proof.
package filelock

import (
	"errors"
	"fmt"
	"os"
)

// ErrHeld reports that another process holds the file.
var ErrHeld = errors.New("held by another process")

// Lock is a held file.
type Lock struct{ f *os.File }

// Try makes the file if need be and takes it, or answers ErrHeld. It does not
// wait.
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
		// The holder before us may have removed what we opened.
		ours, err := f.Stat()
		if err == nil {
			var there os.FileInfo
			if there, err = os.Stat(path); err == nil && os.SameFile(ours, there) {
				return &Lock{f}, nil
			}
		}
		_ = f.Close()
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("lock file: %w", err)
		}
	}
}

// Remove lets go of the file and deletes it.
func (l *Lock) Remove() error {
	if err := remove(l.f); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("lock file: %w", err)
	}
	return nil
}
