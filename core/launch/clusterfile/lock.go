package clusterfile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ipcore/ipcore/internal/filelock"
)

// lockPoll is the delay before the next attempt to take a held lock.
const lockPoll = 2 * time.Millisecond

// Lock takes the lock of a cluster file, path + ".lock", and waits while another
// process holds it. The lock is held only while the file is examined and claimed, or
// while a cluster without a supervisor is stopped; the owner of a cluster is recorded in
// the file itself. Remove removes the lock file.
func Lock(ctx context.Context, path string) (*filelock.Lock, error) {
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
