package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/ipcore/ipcore/core/launch/clusterfile"

	"github.com/ipcore/ipcore/core/launch/cluster"
	"github.com/ipcore/ipcore/core/profile"
)

type listOptions struct {
	place
	verbosity
	asJSON bool
	output string
}

func newList(a *app) *command {
	o := &listOptions{}
	c := &command{
		name:  "list",
		args:  "[--json]",
		short: "list clusters and what of them is running",
		long: `List the clusters of all profiles, or of the one named. What is shown as running has been
looked at, not only read from a file.`,
		example: `ipcore list
			ipcore list --profile=cluster
			ipcore list --json`,
		flags: newFlags("list"),
	}
	o.place.flags(c.flags)
	hide(c.flags, "cluster-id")
	c.flags.BoolVar(&o.asJSON, "json", false, "print a JSON list")
	c.flags.StringVarP(&o.output, "o", "o", "text", "output `FORM`: text or json")
	hide(c.flags, "o")
	o.verbosity.flags(c.flags, "error")
	c.run = func(ctx context.Context, args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		return o.run(ctx, a)
	}
	return c
}

func (o *listOptions) run(ctx context.Context, a *app) error {
	if o.output != "text" && o.output != "json" {
		return &usageError{text: fmt.Sprintf("-o: unknown form %q", o.output), hint: "use text or json"}
	}
	profiles, err := o.profiles()
	if err != nil {
		return err
	}
	log, err := o.logger(a.streams, "ipcore")
	if err != nil {
		return err
	}
	all, err := cluster.List(ctx, profiles, log)
	if err != nil {
		return err
	}
	if o.asJSON || o.output == "json" {
		err = writeJSON(a.Out, rows(all))
	} else {
		a.outf("%-16s %-32s %-7s %7s %s\n", "PROFILE", "CLUSTER ID", "RUNNING", "ENGINES", "LAUNCHER")
		for _, r := range rows(all) {
			a.outf("%-16s %-32s %-7s %7d %s\n", r.Profile, idWord(r.ID), pythonBool(r.Running), r.Engines, r.Launcher)
			for _, set := range slices.Sorted(maps.Keys(r.Sets)) {
				if waiting := r.Sets[set].Waiting(); waiting != "" {
					a.outf("%-16s set %s: %s\n", "", set, waiting)
				}
			}
			for _, e := range r.Ended {
				a.outf("%-16s set %s ended: %s\n", "", e.Set, e.Cause)
			}
		}
	}
	for _, s := range all {
		if s.Err != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", s.File, s.Err))
		}
	}
	return err
}

// profiles answers the profile that was named, else all.
func (o *listOptions) profiles() ([]profile.Profile, error) {
	p, _, err := o.place.resolve()
	if err != nil {
		return nil, err
	}
	if o.Name != "" || o.Dir != "" {
		return []profile.Profile{p}, nil
	}
	all, err := profile.List(o.IPythonDir)
	if err != nil {
		return nil, err
	}
	for _, known := range all {
		if known.Dir == p.Dir {
			return all, nil
		}
	}
	if p.Exists() { // named by the environment
		all = append(all, p)
	}
	return all, nil
}

// row is one cluster of the list.
type row struct {
	Profile    string  `json:"profile"`
	ProfileDir string  `json:"profile_dir"`
	ID         string  `json:"cluster_id"`
	File       string  `json:"file"`
	State      string  `json:"state"` // one of the states below
	Running    bool    `json:"running"`
	Supervised bool    `json:"supervised"`
	Controller bool    `json:"controller_running"`
	Joins      *string `json:"joins"` // the id of the cluster whose controller the engines have joined
	Engines    int     `json:"engines_running"`
	Waiting    int     `json:"engines_waiting"`
	N          int     `json:"n"`
	Launcher   string  `json:"launcher"`
	Tag        string  `json:"tag"`
	Error      string  `json:"error,omitempty"`

	// What the launcher says of each engine set, and how sets ended.
	Sets  map[string]clusterfile.WorkloadStatus `json:"sets"`
	Ended []clusterfile.WorkloadEnd             `json:"ended"`
}

// The states of a cluster: upstream's words, and one for what can't be told.
const (
	stateBefore  = "before" // its parts are being started
	stateRunning = "running"
	stateAfter   = "after" // nothing of it runs
	stateUnknown = "unknown"
)

// stateOf answers the state of a cluster.
func stateOf(s *cluster.Status) string {
	switch {
	case !s.Running() && s.Err != nil:
		return stateUnknown
	case !s.Running():
		return stateAfter
	case s.Supervised && (len(s.Record.Extension.Starting) > 0 || len(s.Record.Engines.Sets)+len(s.Record.Extension.Ended) == 0):
		return stateBefore
	}
	return stateRunning
}

func rows(all []*cluster.Status) []row {
	list := make([]row, 0, len(all))
	for _, s := range all {
		r := row{
			Profile: s.Profile.Name(), ProfileDir: s.Profile.Dir, File: s.File,
			State: stateOf(s), Running: s.Running(), Supervised: s.Supervised, Controller: s.Controller,
			Waiting: waitingEngines(s), Sets: s.Sets, Ended: []clusterfile.WorkloadEnd{},
		}
		r.Engines = s.Alive - r.Waiting
		if r.Profile == "" {
			r.Profile = s.Profile.Dir
		}
		if s.Record != nil {
			r.ID, r.N, r.Launcher = s.Record.Cluster.ClusterID, s.Record.Cluster.N, s.Record.Engines.Class
			r.Joins = s.Record.Extension.Joins
			r.Tag, r.Ended = s.Record.Extension.Tag, append(r.Ended, s.Record.Extension.Ended...)
		}
		if s.Err != nil {
			r.Error = s.Err.Error()
		}
		list = append(list, r)
	}
	return list
}

// idWord writes a cluster id as upstream's list does.
func idWord(id string) string {
	if id == "" {
		return "''"
	}
	return id
}

// pythonBool writes a truth value as upstream's list does.
func pythonBool(b bool) string {
	if b {
		return "True"
	}
	return "False"
}
