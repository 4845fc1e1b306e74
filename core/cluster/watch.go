package cluster

import (
	"context"
	"os"
	"path/filepath"
	"time"
)

// filePoll is the interval at which awaitFiles looks by itself: file systems
// of other machines send no notices.
const filePoll = 50 * time.Millisecond

// awaitFiles returns when all named files are in dir, which must be there.
// They are written whole (renamed into place), so being there is enough.
func awaitFiles(ctx context.Context, dir string, names ...string) error {
	notices, stop := watchDir(dir)
	defer stop()
	tick := time.NewTicker(filePoll)
	defer tick.Stop()
	for {
		if allExist(dir, names) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-notices:
		case <-tick.C:
		}
	}
}

func allExist(dir string, names []string) bool {
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return false
		}
	}
	return true
}
