package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ipcore/ipcore/core/launch/registry"
	"github.com/ipcore/ipcore/sdk"
)

const (
	orphanTimeout = 10 * time.Second // for one search for orphans
	orphanGrace   = 2 * time.Second  // after a stop, until processes count as orphans
)

// Orphan is a process or job that is still running although its cluster has ended. It has
// the cluster's tag.
type Orphan struct {
	Launcher string `json:"launcher"`
	Tag      string `json:"tag"`
	ID       string `json:"id"`
	Text     string `json:"text"`
}

// Leftover is what was found after a cluster was stopped.
type Leftover struct {
	Orphans []Orphan

	// Unasked names the launchers that could not be asked, each with the reason.
	Unasked []string
}

// findOrphans looks for processes and jobs with the tag of a cluster that was stopped. If
// a start was not completed, it removes them; otherwise it returns them.
func (c *Cluster) findOrphans(ctx context.Context) Leftover {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), orphanTimeout)
	defer cancel()
	var left Leftover
	c.mu.Lock()
	tag, unfinished := c.record.Extension.Tag, len(c.record.Extension.Starting) > 0
	paths := slices.Compact(slices.Sorted(maps.Values(c.record.Extension.Paths)))
	options := maps.Clone(c.record.Extension.Options)
	c.mu.Unlock()
	if tag == "" {
		return left
	}
	deadline := time.Now().Add(orphanGrace)
	for _, path := range paths {
		q := sdk.OrphanQuery{Tag: tag, Options: options[path]}
		for _, w := range c.workloads() {
			if state, _ := w.snapshot(); w.process.executable.Path == path && state != nil {
				q.States = append(q.States, state)
			}
		}
		found, err := c.orphansOf(ctx, path, q, unfinished, deadline)
		if err != nil {
			left.Unasked = append(left.Unasked, fmt.Sprintf("%s: %v", path, err))
		}
		left.Orphans = appendNew(left.Orphans, found)
	}
	return left
}

// same reports whether two launchers have found the same process or job: several
// launchers can find the processes of one machine.
func (o Orphan) same(other Orphan) bool { return other.ID == o.ID && other.Tag == o.Tag }

// appendNew appends the orphans that are not in the list yet.
func appendNew(all, more []Orphan) []Orphan {
	for _, o := range more {
		if !slices.ContainsFunc(all, o.same) {
			all = append(all, o)
		}
	}
	return all
}

// orphansOf asks one launcher for orphans. While there are any, it asks again until the
// deadline: processes that were stopped may need a moment to end. If remove is true, it
// removes them first.
func (c *Cluster) orphansOf(ctx context.Context, path string, q sdk.OrphanQuery, remove bool, deadline time.Time) ([]Orphan, error) {
	process := c.processes[path]
	if process == nil {
		found, err := registry.Describe(ctx, path, registry.Search{ProfileDir: c.opts.Profile.Dir})
		if err != nil {
			return nil, err
		}
		process = c.processOf(found)
	}
	if !process.executable.Info.Has(sdk.CapabilityOrphans) {
		return nil, nil
	}
	p, err := process.running(ctx)
	if err != nil {
		return nil, err
	}
	found, err := p.Orphans(ctx, q)
	if err == nil && len(found) > 0 && remove {
		if err = p.RemoveOrphans(ctx, q, found); err == nil {
			found, err = p.Orphans(ctx, q)
		}
	}
	for err == nil && len(found) > 0 && time.Now().Before(deadline) {
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return orphansFrom(process.executable.Name, found), ctx.Err()
		}
		found, err = p.Orphans(ctx, q)
	}
	return orphansFrom(process.executable.Name, found), err
}

func orphansFrom(launcher string, found []sdk.Orphan) []Orphan {
	all := make([]Orphan, len(found))
	for i, o := range found {
		all[i] = Orphan{Launcher: launcher, Tag: o.Tag, ID: o.ID, Text: o.Text}
	}
	return all
}
