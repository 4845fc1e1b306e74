//go:build unix

package ssh

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/ipcore/ipcore/sdk/process"
)

// maxControlDir is the longest folder that leaves room for the name of a socket,
// which ssh makes of 40 characters and 17 more, in the 104 bytes that some systems
// have.
const maxControlDir = 104 - 1 - 40 - 1 - 17 - 1

// controlDir returns the user's folder of shared connections, and creates it if it does
// not exist. It returns "" if there is no folder that only the user can access.
func controlDir() string {
	bases := []string{process.Getenv("XDG_RUNTIME_DIR"), os.TempDir(), "/tmp"}
	for _, base := range bases {
		if base == "" {
			continue
		}
		dir := filepath.Join(base, fmt.Sprintf("ipcore-ssh-%d", os.Getuid()))
		if len(dir) > maxControlDir {
			continue
		}
		_ = os.Mkdir(dir, 0o700) // what is there is looked at next
		i, err := os.Lstat(dir)
		if err != nil || !i.IsDir() || i.Mode().Perm() != 0o700 {
			continue
		}
		if s, ok := i.Sys().(*syscall.Stat_t); ok && int(s.Uid) == os.Getuid() {
			return dir
		}
	}
	return ""
}
