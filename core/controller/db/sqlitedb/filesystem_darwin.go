package sqlitedb

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// sharedFilesystem returns the type of the file system of dir if machines may share
// it, and otherwise "".
func sharedFilesystem(dir string) (string, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return "", fmt.Errorf("find the file system of %s: %w", dir, err)
	}
	if s.Flags&unix.MNT_LOCAL != 0 {
		return "", nil
	}
	return unix.ByteSliceToString(s.Fstypename[:]), nil
}
