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

	"github.com/ipcore/ipcore/core/profile"
	"github.com/ipcore/ipcore/sdk"
)

// Status is what a cluster file says, compared with what is there.
type Status struct {
	File    string
	Profile profile.Profile
	Record  *Record

	Supervised bool // its supervisor is running
	Controller bool // the controller is running
	Alive      int  // engines that are running
	Err        error
}

// Running tells whether anything of the cluster is running.
func (s *Status) Running() bool { return s.Supervised || s.Controller || s.Alive > 0 }

// Inspect tells the truth about one cluster. While its supervisor runs, the
// file is the truth: the supervisor keeps it so. Otherwise the launchers are
// asked. NotFoundError: there is no such cluster.
func Inspect(ctx context.Context, path string, log hclog.Logger) (*Status, error) {
	c, err := Load(path, LoadOptions{Log: log})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	s := &Status{File: path, Profile: c.opts.Profile, Record: c.record}
	if supervisorRuns(c.record.Own.Supervisor) {
		s.Supervised = true
		s.Controller = c.record.Controller != nil
		for _, n := range c.record.Own.Alive {
			s.Alive += n
		}
		return s, nil
	}
	c.written = false // looking changes nothing
	if err := c.Adopt(ctx); err != nil && !errors.Is(err, ErrNothingRuns) {
		s.Err = err
	}
	for _, u := range c.units() {
		if u.hasEnded() {
			continue
		}
		if u.kind == sdk.Controller {
			s.Controller = true
			continue
		}
		_, alive := u.snapshot()
		s.Alive += alive
	}
	return s, nil
}

// Files answers the cluster files of a profile, sorted.
func Files(p profile.Profile) ([]string, error) {
	entries, err := os.ReadDir(p.SecurityDir()) // sorted by name
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("look for clusters: %w", err)
	}
	var files []string
	for _, e := range entries {
		if _, is := idOf(e.Name()); is {
			files = append(files, filepath.Join(p.SecurityDir(), e.Name()))
		}
	}
	return files, nil
}

// List inspects all clusters of the profiles, in the order of profile and id.
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
			case errors.As(err, &missing): // it ended while we looked
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

// Stop ends a cluster from any process: it asks the supervisor, and does the
// work itself when there is none, or when it does not manage. NotFoundError:
// there is no such cluster.
func Stop(ctx context.Context, path string, log hclog.Logger) error {
	r, err := ReadRecord(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			id, _ := idOf(path)
			return &NotFoundError{ID: id, File: path}
		}
		return err
	}
	if p := r.Own.Supervisor; supervisorRuns(p) {
		if elsewhere(p) {
			return fmt.Errorf("the cluster's supervisor is process %d on host %s; run ipcore stop there", p.PID, p.Host)
		}
		limited, cancel := context.WithTimeout(ctx, stopLimit)
		defer cancel()
		if err := endSupervisor(limited, *p); err != nil {
			log.Warn("the supervisor does not stop the cluster; doing it here", "pid", p.PID, "error", err)
		}
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	return takeOver(ctx, path, log)
}

// takeOver stops a cluster that has no supervisor.
func takeOver(ctx context.Context, path string, log hclog.Logger) (err error) {
	limited, cancel := context.WithTimeout(ctx, lockLimit)
	defer cancel()
	held, err := lock(limited, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, held.Remove()) }()
	c, err := Load(path, LoadOptions{Log: log})
	if _, ok := errors.AsType[*NotFoundError](err); ok {
		return nil // somebody else did it meanwhile
	}
	if err != nil {
		return err
	}
	if err := c.Adopt(limited); err != nil && !errors.Is(err, ErrNothingRuns) {
		log.Error("a part of the cluster can't be taken up; stopping the others", "error", err)
	}
	return c.Stop(limited)
}
