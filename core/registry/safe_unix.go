//go:build unix

package registry

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// executable tells whether the file can be run.
func executable(i fs.FileInfo, _ string) bool { return i.Mode().IsRegular() && i.Mode()&0o111 != 0 }

// checkSafe refuses an executable that another user could have put there: the
// file and its folder, links resolved, must be writable by nobody but the owner
// and the owner's group, and belong to this user or to root.
func checkSafe(path string) error {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	for _, p := range []string{real, filepath.Dir(real), filepath.Dir(path)} {
		i, err := os.Stat(p)
		if err != nil {
			return err
		}
		sticky := i.IsDir() && i.Mode()&fs.ModeSticky != 0
		if i.Mode()&0o002 != 0 && !sticky {
			return fmt.Errorf("refused: every user can write to %s (chmod o-w %s)", p, p)
		}
		st, ok := i.Sys().(*syscall.Stat_t)
		if ok && !i.IsDir() && st.Uid != 0 && int(st.Uid) != os.Getuid() && os.Getuid() != 0 {
			return fmt.Errorf("refused: %s belongs to another user (uid %d)", p, st.Uid)
		}
	}
	return nil
}
