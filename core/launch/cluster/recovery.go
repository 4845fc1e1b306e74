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

// LoadOptions are the options of Load.
type LoadOptions struct {
	Log hclog.Logger
}

// ErrNothingRuns means that the whole cluster has ended.
var ErrNothingRuns = errors.New("nothing of the cluster is running")

// Load reads a cluster file. It does not call any launcher; Adopt does. NotFoundError:
// the file does not exist.
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

// fromRecord returns the cluster that a cluster file describes.
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

// profileOf returns the profile directory of a cluster file. It is the folder that contains
// the file, because profiles can be moved and copied, or else the recorded one.
func profileOf(path string, r *clusterfile.Record) string {
	absolute, err := filepath.Abs(path)
	if err == nil && filepath.Base(filepath.Dir(absolute)) == "security" {
		return filepath.Dir(filepath.Dir(absolute))
	}
	return r.Cluster.ProfileDir
}

// Adopt finds the workloads that the file records, with new plugin processes, from the
// launchers' states, and drops those that have ended. ErrNothingRuns: all have ended; Stop
// then removes the files. After any other error a part was not restored; Stop then ends
// the other parts and returns the error again.
func (c *Cluster) Adopt(ctx context.Context) error {
	type result struct {
		workload *workload
		err      error
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
		process, err := c.recordedProcess(ctx, kind, class, r.Extension.Paths[id])
		if err != nil {
			return err
		}
		expected = append(expected, c.newWorkload(kind, id, process))
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

	results := make(chan result, len(expected))
	for _, w := range expected {
		go func() {
			n, known := alive[w.id]
			if !known {
				n = 1
			}
			results <- result{w, w.adopt(ctx, c.watching, states[w.id], n)}
		}()
	}
	for range expected {
		r := <-results
		switch {
		case r.err == nil:
			r.workload.updateAlive(ctx)
			c.mu.Lock()
			if r.workload.kind == sdk.Controller {
				c.controller = r.workload
			} else {
				c.engines = append(c.engines, r.workload)
			}
			c.mu.Unlock()
		case errors.Is(r.err, sdk.ErrNotRunning):
			c.log.Debug("a recorded workload has ended", "workload", r.workload.id)
			c.dropRecorded(r.workload)
		default:
			err = errors.Join(err, fmt.Errorf("restore %s: %w", r.workload.text(), r.err))
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

// dropRecorded removes a workload that has ended from the record.
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

// recordedProcess returns the plugin process for a recorded workload: of the executable
// that started it, if that still exists, or else of the executable that its name stands
// for now. c.mu is held.
func (c *Cluster) recordedProcess(ctx context.Context, kind sdk.Kind, class, path string) (*pluginProcess, error) {
	name := class
	if path != "" {
		if _, err := os.Stat(path); err == nil {
			name = path
		}
	}
	executable, err := registry.Find(ctx, kind, name, registry.Search{ProfileDir: c.opts.Profile.Dir})
	if err != nil {
		return nil, err
	}
	return c.processOf(executable), nil
}
