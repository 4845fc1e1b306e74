package cluster

import (
	"context"
	"os"
	"path/filepath"
	"time"
)

// fileInterval is how often wait looks for the files even without a notification:
// network file systems send none for changes by other machines.
const fileInterval = 50 * time.Millisecond

// fileSet is a set of named files in a folder, as they were at some time.
type fileSet struct {
	dir    string
	before map[string]os.FileInfo // nil for a file that did not exist
}

// newFileSet returns the files as they are now.
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

// acceptOld makes wait accept files that existed before, unchanged.
func (f fileSet) acceptOld() {
	for name := range f.before {
		f.before[name] = nil
	}
}

// wait returns when all files exist and each is another file than before. They are
// renamed into place when complete, so it is enough that they exist.
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
