package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/ipcore/ipcore/cmd/ipcore/internal/cli"
	"github.com/ipcore/ipcore/core/launch/cluster"
	"github.com/ipcore/ipcore/core/launch/clusterfile"
	"github.com/ipcore/ipcore/core/profile"
)

type listOptions struct {
	cli.ClusterOptions
	asJSON bool
	output string
}

func newList(a *cli.App) *cli.Command {
	o := &listOptions{}
	c := cli.NewCommand(&cobra.Command{
		Use:   "list [--json]",
		Short: "list clusters and what of them is running",
		Long: `List the clusters of all profiles, or of one. Whether a cluster is running is checked, not
only read from a file.`,
		Example: `ipcore list
			ipcore list --profile=cluster
			ipcore list --json`,
		Args:              cli.NoArguments,
		ValidArgsFunction: cli.NoCompletion,
		RunE:              func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), a) },
	})
	c.Flags().BoolVar(&o.asJSON, "json", false, "print a JSON list")
	c.Flags().StringVarP(&o.output, "o", "o", "text", "output `FORM`: text or json")
	o.AddFlags(c, "error")
	c.Hide("o", "cluster-id")
	return c
}

func (o *listOptions) run(ctx context.Context, a *cli.App) error {
	if o.output != "text" && o.output != "json" {
		return cli.UsageError(fmt.Sprintf("-o: unknown form %q", o.output), "use text or json")
	}
	profiles, err := o.profiles()
	if err != nil {
		return err
	}
	log, err := o.Logger(a.Streams, "ipcore")
	if err != nil {
		return err
	}
	all, err := cluster.List(ctx, profiles, log)
	if err != nil {
		return err
	}
	if o.asJSON || o.output == "json" {
		err = a.WriteJSON(rows(all))
	} else {
		err = printRows(a.Streams, rows(all))
	}
	for _, s := range all {
		if s.Err != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", s.File, s.Err))
		}
	}
	return err
}

// printRows prints the list as a table. Lines about a cluster's engine sets follow
// its row.
func printRows(s *cli.Streams, all []row) error {
	t := s.NewTable("PROFILE", "CLUSTER ID", "RUNNING", "ENGINES", "LAUNCHER")
	for _, r := range all {
		t.Row(r.Profile, cli.QuoteID(r.ID), pythonBool(r.Running), r.Engines, r.Launcher)
		for _, set := range slices.Sorted(maps.Keys(r.Sets)) {
			if waiting := r.Sets[set].Waiting(); waiting != "" {
				t.Note("set %s: %s", set, waiting)
			}
		}
		for _, e := range r.Ended {
			t.Note("set %s ended: %s", e.Set, e.Cause)
		}
	}
	return t.Flush()
}

// profiles returns the profile that was named, else all.
func (o *listOptions) profiles() ([]profile.Profile, error) {
	p, _, err := o.Resolve()
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
	Joins      *string `json:"joins"` // id of the cluster whose controller the engines joined
	Engines    int     `json:"engines_running"`
	Waiting    int     `json:"engines_waiting"`
	N          int     `json:"n"`
	Launcher   string  `json:"launcher"`
	Tag        string  `json:"tag"`
	Error      string  `json:"error,omitempty"`

	// The launcher's report on each engine set, and how sets ended.
	Sets  map[string]clusterfile.WorkloadStatus `json:"sets"`
	Ended []clusterfile.WorkloadEnd             `json:"ended"`
}

// The states of a cluster: IPython Parallel's words, and "unknown".
const (
	stateBefore  = "before" // its parts are being started
	stateRunning = "running"
	stateAfter   = "after"   // none of its parts runs
	stateUnknown = "unknown" // it could not be checked
)

// stateOf returns the state of a cluster.
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

// pythonBool returns a truth value as IPython Parallel's list shows it.
func pythonBool(b bool) string {
	if b {
		return "True"
	}
	return "False"
}
