package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ipcore/ipcore/internal/filelock"
)

// lockPoll is the wait before the next try for a lock that is held.
const lockPoll = 2 * time.Millisecond

// lock takes the lock of a cluster file, path + ".lock", waiting while another
// process holds it. It is held only while the file is examined and claimed, or
// a cluster without a supervisor is stopped: who owns a cluster is what the
// file itself says. The lock file is removed by Remove.
func lock(ctx context.Context, path string) (*filelock.Lock, error) {
	for {
		l, err := filelock.Try(path + ".lock")
		if err == nil {
			return l, nil
		}
		if !errors.Is(err, filelock.ErrHeld) {
			return nil, fmt.Errorf("lock the cluster file: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the lock %s.lock: %w", path, ctx.Err())
		case <-time.After(lockPoll):
		}
	}
}
