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

// lockTimeout is how long a process waits for another one that examines the same cluster
// file. On a slow system it can take seconds to restore workloads from their states.
const lockTimeout = 30 * time.Second

// claim makes this process the supervisor of the cluster. Engines that join a controller
// get the first free id.
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

// claimFile writes the cluster file, with this process as supervisor and the intent to
// start the controller. It replaces the file of a cluster that has ended. RunningError:
// the cluster has not ended.
func (c *Cluster) claimFile(ctx context.Context) (err error) {
	me, err := process.Self()
	if err != nil {
		return fmt.Errorf("find the start time of this process: %w", err)
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
	// No cluster is running, and other processes that start one wait for the lock.
	if err := atomicfile.Clean(c.file); err != nil {
		return err
	}
	r := newRecord(&c.opts, c.tag, me, c.keepFiles)
	if c.opts.Join == nil {
		r.Extension.Starting = []string{controllerID}
	}
	if err := r.Create(c.file); err != nil {
		if errors.Is(err, fs.ErrExist) {
			// The file system has no locks, and another process was faster.
			return c.runningError()
		}
		return err
	}
	// After the cluster file is written: whoever takes over that file knows the tag and
	// calls ForgetTag.
	if err := clusterfile.RememberTag(c.tag, c.file); err != nil {
		c.log.Debug("ipcore gc will not know this cluster", "error", err)
	}
	c.mu.Lock()
	c.record, c.written = r, true
	c.mu.Unlock()
	return nil
}

// removeEnded removes the cluster file of a cluster that has ended, and whatever it has
// left behind. RunningError: the cluster has not ended.
func (c *Cluster) removeEnded(ctx context.Context) error {
	old, err := clusterfile.ReadRecord(c.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w; if no cluster of this profile is running, remove the file", err)
	}
	if s := old.Extension.Supervisor; supervisorRuns(s) {
		return &RunningError{ID: c.opts.ID, File: c.file, Supervisor: s}
	}
	ended, err := Load(c.file, LoadOptions{Log: c.log})
	if err != nil {
		return err
	}
	err = ended.Adopt(ctx)
	switch {
	case errors.Is(err, ErrNothingRuns):
	case err != nil:
		ended.Close()
		return fmt.Errorf("find out whether the cluster of %s is still running: %w", c.file, err)
	default:
		ended.Close()
		return &RunningError{ID: c.opts.ID, File: c.file}
	}
	c.log.Info("removing what an ended cluster has left behind", "file", c.file)
	return ended.Stop(ctx)
}

// runningError returns the error that another supervisor has the cluster.
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
