package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/ipcore/ipcore/core/launch/clusterfile"
	"github.com/ipcore/ipcore/internal/atomicfile"
	"github.com/ipcore/ipcore/sdk/process"
)

// lockLimit is how long a process waits for another that examines the same
// cluster file. Taking up launchers' states can take seconds on a slow system.
const lockTimeout = 30 * time.Second

// claim makes this process the supervisor of the cluster. Engines that join a
// controller get the first id that is free.
func (c *Cluster) claim(ctx context.Context) error {
	if c.opts.Join == nil || c.opts.ID != "" {
		return c.claimFile(ctx)
	}
	for c.joinIndex = 1; ; c.joinIndex++ {
		c.opts.ID = joinedID(*c.opts.Join, c.joinIndex)
		c.file = clusterfile.Path(c.opts.Profile.SecurityDir(), c.opts.ID)
		err := c.claimFile(ctx)
		if _, taken := errors.AsType[*RunningError](err); !taken {
			return err
		}
	}
}

// claimFile writes the cluster file with our process and the intent to start the
// controller. The file of a cluster that has ended is replaced; RunningError if it
// has not.
func (c *Cluster) claimFile(ctx context.Context) (err error) {
	me, err := process.Self()
	if err != nil {
		return fmt.Errorf("find this process's start time: %w", err)
	}
	limited, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	held, err := clusterfile.Lock(limited, c.file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, held.Remove()) }()

	if err := c.removeEnded(ctx); err != nil {
		return err
	}
	// There is no cluster, and who begins one waits for the lock.
	if err := atomicfile.Clean(c.file); err != nil {
		return err
	}
	r := newRecord(&c.opts, c.tag, me, c.keepFiles)
	if c.opts.Join == nil {
		r.Extension.Starting = []string{controllerID}
	}
	if err := r.Create(c.file); err != nil {
		if errors.Is(err, fs.ErrExist) {
			// A file system without locks, and somebody was quicker.
			return c.runningError()
		}
		return err
	}
	// Behind the cluster file: who takes that over knows the tag, and forgets it.
	if err := clusterfile.RememberTag(c.tag, c.file); err != nil {
		c.log.Debug("ipcore gc will not know this cluster", "error", err)
	}
	c.mu.Lock()
	c.record, c.written = r, true
	c.mu.Unlock()
	return nil
}

// clear removes the cluster file of a cluster that has ended, with what it left
// behind. RunningError: it has not.
func (c *Cluster) removeEnded(ctx context.Context) error {
	old, err := clusterfile.ReadRecord(c.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w; remove the file if no cluster of this profile is running", err)
	}
	if s := old.Extension.Supervisor; supervisorRuns(s) {
		return &RunningError{ID: c.opts.ID, File: c.file, Supervisor: s}
	}
	left, err := Load(c.file, LoadOptions{Log: c.log})
	if err != nil {
		return err
	}
	err = left.Adopt(ctx)
	switch {
	case errors.Is(err, ErrNothingRuns):
	case err != nil:
		left.Close()
		return fmt.Errorf("find out whether the cluster of %s still runs: %w", c.file, err)
	default:
		left.Close()
		return &RunningError{ID: c.opts.ID, File: c.file}
	}
	c.log.Info("removing what a cluster that has ended left behind", "file", c.file)
	return left.Stop(ctx)
}

// runningError answers who has the cluster now.
func (c *Cluster) runningError() error {
	r, err := clusterfile.ReadRecord(c.file)
	if err != nil {
		return &RunningError{ID: c.opts.ID, File: c.file}
	}
	return &RunningError{ID: c.opts.ID, File: c.file, Supervisor: r.Extension.Supervisor}
}

// newRecord returns the record of a cluster of which nothing is running yet.
func newRecord(o *Options, tag string, self process.State, keepFiles bool) *clusterfile.Record {
	return clusterfile.New(
		clusterfile.Settings{
			ClusterID:      o.ID,
			ControllerArgs: append([]string{}, o.ControllerArgs...),
			Delay:          1,
			N:              o.N,
			ProfileDir:     o.Profile.Dir,
		},
		clusterfile.Extension{
			Supervisor: &self,
			Created:    time.Now().UTC().Format(time.RFC3339),
			Tag:        tag,
			Joins:      o.Join,
			Keep:       keepFiles,
		})
}
