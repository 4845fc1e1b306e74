package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/launch/clusterfile"
	"github.com/ipcore/ipcore/core/launch/registry"
	"github.com/ipcore/ipcore/core/profile"
	"github.com/ipcore/ipcore/sdk"
)

// LoadOptions say how to take up a cluster from its file.
type LoadOptions struct {
	Log hclog.Logger
}

// ErrNothingRuns says that all of a cluster has ended.
var ErrNothingRuns = errors.New("nothing of the cluster is running")

// Load reads a cluster file. Nothing is asked of any launcher yet; that is
// Adopt. NotFoundError: there is no such file.
func Load(path string, o LoadOptions) (*Cluster, error) {
	r, err := clusterfile.ReadRecord(path)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			id, _ := clusterfile.ID(path)
			return nil, &NotFoundError{ID: id, File: path}
		}
		return nil, err
	}
	return fromRecord(path, r, o)
}

// fromRecord makes a cluster of what its file says.
func fromRecord(path string, r *clusterfile.Record, o LoadOptions) (*Cluster, error) {
	c, err := New(Options{
		Profile: profile.Profile{Dir: profileOf(path, r)}, ID: r.Cluster.ClusterID, Join: r.Extension.Joins, N: r.Cluster.N,
		Engines: r.Engines.Class, Log: o.Log,
	})
	if err != nil {
		return nil, fmt.Errorf("cluster file %s: %w", path, err)
	}
	c.file, c.record, c.written, c.tag = path, r, true, r.Extension.Tag
	if r.Controller != nil {
		c.opts.Controller = r.Controller.Class
	}
	return c, nil
}

// profileOf answers the profile directory of a cluster file: the folder it lies
// in, since profiles are moved and copied, and the recorded one otherwise.
func profileOf(path string, r *clusterfile.Record) string {
	absolute, err := filepath.Abs(path)
	if err == nil && filepath.Base(filepath.Dir(absolute)) == "security" {
		return filepath.Dir(filepath.Dir(absolute))
	}
	return r.Cluster.ProfileDir
}

// Adopt takes up what the file says is running: new plugin processes find it
// from the launchers' states. What has ended is dropped. ErrNothingRuns: all
// of it has; then Stop removes the files. After another error a part could not
// be taken up; Stop ends the others and answers that error again.
func (c *Cluster) Adopt(ctx context.Context) error {
	type found struct {
		unit *workload
		err  error
	}
	var err error
	defer func() {
		if !errors.Is(err, ErrNothingRuns) {
			c.adoptErr = err
		}
	}()
	c.mu.Lock()
	r := c.record
	var expected []*workload
	states := map[string]sdk.State{}
	add := func(kind sdk.Kind, class, id string, state sdk.State) error {
		h, err := c.recordedProcess(ctx, kind, class, r.Extension.Paths[id])
		if err != nil {
			return err
		}
		expected = append(expected, c.newWorkload(kind, id, h))
		states[id] = state
		return nil
	}
	if r.Controller != nil {
		err = add(sdk.Controller, r.Controller.Class, controllerID, r.Controller.State)
	}
	for id, state := range r.Engines.Sets {
		err = errors.Join(err, add(sdk.Engine, r.Engines.Class, id, state))
	}
	alive := r.Extension.Alive
	c.mu.Unlock()

	results := make(chan found, len(expected))
	for _, w := range expected {
		go func() {
			n, known := alive[w.id]
			if !known {
				n = 1
			}
			results <- found{w, w.adopt(ctx, c.watching, states[w.id], n)}
		}()
	}
	for range expected {
		f := <-results
		switch {
		case f.err == nil:
			f.unit.updateAlive(ctx)
			c.mu.Lock()
			if f.unit.kind == sdk.Controller {
				c.controller = f.unit
			} else {
				c.engines = append(c.engines, f.unit)
			}
			c.mu.Unlock()
		case errors.Is(f.err, sdk.ErrNotRunning):
			c.log.Debug("has ended meanwhile", "unit", f.unit.id)
			c.dropRecorded(f.unit)
		default:
			err = errors.Join(err, fmt.Errorf("take up %s: %w", f.unit.text(), f.err))
		}
	}
	if err != nil {
		return err
	}
	if len(c.workloads()) == 0 {
		err = ErrNothingRuns
	}
	return err
}

// drop takes a unit that has ended meanwhile out of the record.
func (c *Cluster) dropRecorded(w *workload) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.written {
		return
	}
	if w.kind == sdk.Controller {
		c.record.Controller = nil
	} else {
		delete(c.record.Engines.Sets, w.id)
		delete(c.record.Extension.Alive, w.id)
		delete(c.record.Extension.Status, w.id)
	}
	if err := c.record.Write(c.file); err != nil {
		c.log.Error("the cluster file is out of date", "file", c.file, "error", err)
	}
}

// recover answers the host for a recorded unit: the executable that started it
// where it is still there, else what its name means now. c.mu is held.
func (c *Cluster) recordedProcess(ctx context.Context, kind sdk.Kind, class, path string) (*pluginProcess, error) {
	name := class
	if path != "" {
		if _, err := os.Stat(path); err == nil {
			name = path
		}
	}
	f, err := registry.Find(ctx, kind, name, registry.Search{ProfileDir: c.opts.Profile.Dir})
	if err != nil {
		return nil, err
	}
	return c.processOf(f), nil
}
