package cluster

import (
	"context"
	"os"
	"path/filepath"
	"time"
)

// filePoll is the interval at which awaitFiles looks by itself: file systems
// of other machines send no notices.
const fileInterval = 50 * time.Millisecond

// files are named files of a folder as they were at some time.
type fileSet struct {
	dir    string
	before map[string]os.FileInfo // nil for one that was not there
}

// filesOf takes down the files as they are now.
func newFileSet(dir string, names ...string) fileSet {
	f := fileSet{dir: dir, before: make(map[string]os.FileInfo, len(names))}
	for _, name := range names {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			info = nil
		}
		f.before[name] = info
	}
	return f
}

// forget lets files count that were there before.
func (f fileSet) acceptOld() {
	for name := range f.before {
		f.before[name] = nil
	}
}

// await returns when all files are there, and none is the one that was there
// before. They are written whole (renamed into place), so being there is enough.
func (f fileSet) wait(ctx context.Context) error {
	notices, stop := watchDir(f.dir)
	defer stop()
	tick := time.NewTicker(fileInterval)
	defer tick.Stop()
	for {
		if f.ready() {
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

func (f fileSet) ready() bool {
	for name, old := range f.before {
		now, err := os.Stat(filepath.Join(f.dir, name))
		if err != nil || old != nil && os.SameFile(old, now) && old.ModTime().Equal(now.ModTime()) {
			return false
		}
	}
	return true
}
