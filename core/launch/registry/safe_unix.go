//go:build unix

package registry

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// executable reports whether the file can be run.
func executable(i fs.FileInfo, _ string) bool { return i.Mode().IsRegular() && i.Mode()&0o111 != 0 }

// checkSafe refuses an executable that another user can have put there. The file and its
// folder, with links resolved, must not be writable by every user; a folder may be if it is
// sticky, like /tmp. The file must belong to this user or to root. If this user is root, it
// may belong to any user, unless it is in a folder to which every user can write.
func checkSafe(path string) error {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	shared := false
	for _, dir := range []string{filepath.Dir(real), filepath.Dir(path)} {
		i, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if i.Mode()&0o002 != 0 {
			if i.Mode()&fs.ModeSticky == 0 {
				return fmt.Errorf("refused: every user can write to the folder %s (chmod o-w %s)", dir, dir)
			}
			shared = true
		}
	}
	i, err := os.Stat(real)
	if err != nil {
		return err
	}
	if i.Mode()&0o002 != 0 {
		return fmt.Errorf("refused: every user can write to %s (chmod o-w %s)", real, real)
	}
	st, ok := i.Sys().(*syscall.Stat_t)
	me := os.Getuid()
	if ok && st.Uid != 0 && int(st.Uid) != me && (me != 0 || shared) {
		return fmt.Errorf("refused: %s belongs to another user (uid %d)", real, st.Uid)
	}
	return nil
}
