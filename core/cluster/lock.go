package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// errLocked says that another process holds the lock.
var errLocked = errors.New("locked by another process")

// lock takes the lock of a cluster file, path + ".lock", waiting while another
// process holds it. It is held only while the file is examined and claimed:
// who owns the cluster afterwards is what the file itself says. The lock file
// is removed by release.
func lock(ctx context.Context, path string) (release func(), err error) {
	name := path + ".lock"
	for {
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, fmt.Errorf("lock the cluster file: %w", err)
		}
		err = tryLock(f)
		if err == nil && sameFile(f, name) {
			return func() {
				removeLocked(f, name)
			}, nil
		}
		f.Close()
		if err != nil && !errors.Is(err, errLocked) {
			return nil, fmt.Errorf("lock the cluster file: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the lock %s: %w", name, ctx.Err())
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// sameFile tells whether the name still means the open file: the holder before
// us removed it while we waited.
func sameFile(f *os.File, name string) bool {
	open, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(name)
	return err == nil && os.SameFile(open, named)
}
