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
	// sweepLimit bounds looking for survivors after a stop.
	orphanTimeout = 10 * time.Second
	// sweepPatience is how long what was stopped may take to be gone.
	orphanGrace = 2 * time.Second
)

// Survivor is a process or job that carries a cluster's tag.
type Orphan struct {
	Launcher string `json:"launcher"`
	Tag      string `json:"tag"`
	ID       string `json:"id"`
	Text     string `json:"text"`
}

// Leftover is what was left when a cluster had been stopped.
type Leftover struct {
	Orphans []Orphan

	// Unasked names the launchers that could not tell, each with the reason.
	Unasked []string
}

// sweep looks for what carries the tag of a cluster that was stopped. What a
// start left that was never completed is removed; other things are named.
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
	patient := time.Now().Add(orphanGrace)
	for _, path := range paths {
		q := sdk.OrphanQuery{Tag: tag, Options: options[path]}
		for _, w := range c.workloads() {
			if state, _ := w.snapshot(); w.process.executable.Path == path && state != nil {
				q.States = append(q.States, state)
			}
		}
		found, err := c.orphansOf(ctx, path, q, unfinished, patient)
		if err != nil {
			left.Unasked = append(left.Unasked, fmt.Sprintf("%s: %v", path, err))
		}
		left.Orphans = appendNew(left.Orphans, found)
	}
	return left
}

// is tells whether two launchers mean the same thing: several see the processes of
// one machine.
func (s Orphan) same(o Orphan) bool { return o.ID == s.ID && o.Tag == s.Tag }

// addNew adds survivors that are not there yet.
func appendNew(all, more []Orphan) []Orphan {
	for _, s := range more {
		if !slices.ContainsFunc(all, s.same) {
			all = append(all, s)
		}
	}
	return all
}

// sweepOne looks through one launcher's eyes, again until the time patient while
// something is left: what was told to end may take a moment.
func (c *Cluster) orphansOf(ctx context.Context, path string, q sdk.OrphanQuery, unfinished bool, patient time.Time) ([]Orphan, error) {
	h := c.processes[path]
	if h == nil {
		found, err := registry.Describe(ctx, path, registry.Search{ProfileDir: c.opts.Profile.Dir})
		if err != nil {
			return nil, err
		}
		h = c.processOf(found)
	}
	if !h.executable.Info.Has(sdk.CapabilityOrphans) {
		return nil, nil
	}
	p, err := h.running(ctx)
	if err != nil {
		return nil, err
	}
	found, err := p.Orphans(ctx, q)
	if err == nil && len(found) > 0 && unfinished {
		if err = p.RemoveOrphans(ctx, q, found); err == nil {
			found, err = p.Orphans(ctx, q)
		}
	}
	for err == nil && len(found) > 0 && time.Now().Before(patient) {
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return orphansFrom(h.executable.Name, found), ctx.Err()
		}
		found, err = p.Orphans(ctx, q)
	}
	return orphansFrom(h.executable.Name, found), err
}

func orphansFrom(launcher string, found []sdk.Orphan) []Orphan {
	out := make([]Orphan, len(found))
	for i, s := range found {
		out[i] = Orphan{Launcher: launcher, Tag: s.Tag, ID: s.ID, Text: s.Text}
	}
	return out
}
