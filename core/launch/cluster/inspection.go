package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/launch/clusterfile"
	"github.com/ipcore/ipcore/core/profile"
	"github.com/ipcore/ipcore/sdk"
)

// Status is the state of a cluster: what its file says, compared with what is running.
type Status struct {
	File    string
	Profile profile.Profile
	Record  *clusterfile.Record

	Supervised bool // its supervisor is running
	Controller bool // the controller is running
	Alive      int  // engines that are running or waiting for resources
	Err        error

	// Sets has the launchers' status of the engine sets, by id.
	Sets map[string]clusterfile.WorkloadStatus
}

// Running reports whether any part of the cluster is running.
func (s *Status) Running() bool { return s.Supervised || s.Controller || s.Alive > 0 }

// Inspect returns the status of one cluster. While the supervisor is running, the file is
// up to date. Otherwise Inspect asks the launchers. NotFoundError: there is no such
// cluster.
func Inspect(ctx context.Context, path string, log hclog.Logger) (*Status, error) {
	c, err := Load(path, LoadOptions{Log: log})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	s := &Status{File: path, Profile: c.opts.Profile, Record: c.record, Sets: map[string]clusterfile.WorkloadStatus{}}
	if supervisorRuns(c.record.Extension.Supervisor) {
		s.Supervised = true
		s.Controller = c.record.Controller != nil
		for _, n := range c.record.Extension.Alive {
			s.Alive += n
		}
		s.Sets = c.record.Extension.Status
		return s, nil
	}
	c.written = false // do not change the file
	if err := c.Adopt(ctx); err != nil && !errors.Is(err, ErrNothingRuns) {
		s.Err = err
	}
	for _, w := range c.workloads() {
		if w.hasEnded() {
			continue
		}
		if w.kind == sdk.Controller {
			s.Controller = true
			continue
		}
		_, alive := w.snapshot()
		s.Alive += alive
		if status := w.lastStatus(); status != nil {
			s.Sets[w.id] = *status
		}
	}
	return s, nil
}

// Files returns the cluster files of a profile, sorted.
func Files(p profile.Profile) ([]string, error) {
	entries, err := os.ReadDir(p.SecurityDir()) // sorted by name
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("look for clusters: %w", err)
	}
	var files []string
	for _, e := range entries {
		if _, is := clusterfile.ID(e.Name()); is {
			files = append(files, filepath.Join(p.SecurityDir(), e.Name()))
		}
	}
	return files, nil
}

// List returns the status of all clusters of the profiles, ordered by profile and id.
func List(ctx context.Context, profiles []profile.Profile, log hclog.Logger) ([]*Status, error) {
	var paths []string
	for _, p := range profiles {
		files, err := Files(p)
		if err != nil {
			return nil, err
		}
		paths = append(paths, files...)
	}
	all := make([]*Status, len(paths))
	var inspecting sync.WaitGroup
	for i, path := range paths {
		inspecting.Go(func() {
			s, err := Inspect(ctx, path, log)
			var missing *NotFoundError
			switch {
			case errors.As(err, &missing): // the cluster was stopped meanwhile
			case err != nil:
				all[i] = &Status{File: path, Profile: profile.Profile{Dir: filepath.Dir(filepath.Dir(path))}, Err: err}
			default:
				all[i] = s
			}
		})
	}
	inspecting.Wait()
	found := all[:0]
	for _, s := range all {
		if s != nil {
			found = append(found, s)
		}
	}
	return found, nil
}

// Stop stops a cluster from any process. It asks the supervisor to do it, and stops the
// cluster itself if there is no supervisor or if that fails. It returns the processes and
// jobs that still have the cluster's tag. NotFoundError: there is no such cluster.
func Stop(ctx context.Context, path string, log hclog.Logger) (Leftover, error) {
	r, err := clusterfile.ReadRecord(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			id, _ := clusterfile.ID(path)
			return Leftover{}, &NotFoundError{ID: id, File: path}
		}
		return Leftover{}, err
	}
	if p := r.Extension.Supervisor; supervisorRuns(p) {
		if onOtherMachine(p) {
			return Leftover{}, &ElsewhereError{PID: p.PID, Host: p.Host}
		}
		limited, cancel := context.WithTimeout(ctx, stopTimeout)
		defer cancel()
		if err := endSupervisor(limited, *p); err != nil {
			log.Warn("the supervisor did not stop the cluster; stopping it from this process", "pid", p.PID, "error", err)
		}
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return leftoverOf(ctx, path, r, log)
		}
	}
	return takeOver(ctx, path, log)
}

// leftoverOf returns what is left of a cluster that its supervisor has stopped.
func leftoverOf(ctx context.Context, path string, r *clusterfile.Record, log hclog.Logger) (Leftover, error) {
	r.Extension.Starting = nil // the supervisor has stopped these
	c, err := fromRecord(path, r, LoadOptions{Log: log})
	if err != nil {
		return Leftover{}, err
	}
	defer c.Close()
	return c.findOrphans(ctx), nil
}

// takeOver stops a cluster that has no supervisor.
func takeOver(ctx context.Context, path string, log hclog.Logger) (left Leftover, err error) {
	limited, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	held, err := clusterfile.Lock(limited, path)
	if err != nil {
		return left, err
	}
	defer func() { err = errors.Join(err, held.Remove()) }()
	c, err := Load(path, LoadOptions{Log: log})
	if _, ok := errors.AsType[*NotFoundError](err); ok {
		return left, nil // another process has stopped the cluster meanwhile
	}
	if err != nil {
		return left, err
	}
	if err := c.Adopt(limited); err != nil && !errors.Is(err, ErrNothingRuns) {
		log.Error("a part of the cluster was not found; stopping the others", "error", err)
	}
	err = c.Stop(limited)
	return c.leftover, err
}
