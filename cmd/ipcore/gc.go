package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/ipcore/ipcore/cmd/ipcore/internal/cli"
	"github.com/ipcore/ipcore/core/launch/cluster"
	"github.com/ipcore/ipcore/core/launch/registry"
)

type gcOptions struct {
	listOptions
	yes    bool
	dryRun bool
}

func newGC(a *cli.App) *cli.Command {
	o := &gcOptions{}
	c := cli.NewCommand(&cobra.Command{
		Use:   "gc [tags...] [--yes | --dry-run]",
		Short: "find what dead clusters left, and remove it",
		Long: `Find what is left of clusters whose supervisor is gone: cluster files, and processes and
jobs that carry the tag of a cluster without a file. They are shown, and removed after you
confirm. Leftovers of a cluster that this account has not started from this machine are
shown but not removed, unless the tag is an argument.

Launchers search with the options that the profile's ipcluster_config sets: hosts of ssh,
commands of a batch system.`,
		Example: `ipcore gc --dry-run
			ipcore gc --yes
			ipcore gc ipcore-3f2a91c0-77ab01d2`,
		ValidArgsFunction: cli.NoCompletion,
		RunE:              func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), a, args) },
	})
	c.Flags().BoolVar(&o.yes, "yes", false, "remove without asking")
	c.Flags().BoolVar(&o.dryRun, "dry-run", false, "only show")
	c.Flags().BoolVar(&o.asJSON, "json", false, "print a JSON list; it does not ask, so add --yes to remove")
	o.AddFlags(c, "error")
	c.Hide("cluster-id")
	return c
}

// deadRow is one dead cluster in the form of --json.
type deadRow struct {
	Tag        string           `json:"tag"`
	File       string           `json:"file"`
	Controller bool             `json:"controller_running"`
	Engines    int              `json:"engines_running"`
	Known      bool             `json:"known"`
	Survivors  []cluster.Orphan `json:"survivors"`
	Removed    bool             `json:"removed"`
	Error      string           `json:"error,omitempty"`
}

func (o *gcOptions) run(ctx context.Context, a *cli.App, tags []string) error {
	if o.yes && o.dryRun {
		return cli.UsageError("--yes and --dry-run exclude each other", "")
	}
	p, _, log, err := o.Open(a.Streams)
	if err != nil {
		return err
	}
	profiles, err := o.profiles()
	if err != nil {
		return err
	}
	settings, err := a.LauncherSettings(p.Dir)
	if err != nil {
		return err
	}
	dead, errs := cluster.FindDeadClusters(ctx, profiles, registry.Search{ProfileDir: p.Dir}, settings, log)
	for _, err := range errs {
		a.Errf("warning: %v\n", err)
	}
	rows := make([]deadRow, len(dead))
	var chosen []int
	for i, d := range dead {
		rows[i] = deadRow{Tag: d.Tag, File: d.File, Known: d.Known, Survivors: append([]cluster.Orphan{}, d.Orphans...)}
		if d.Status != nil {
			rows[i].Controller, rows[i].Engines = d.Status.Controller, d.Status.Alive
		}
		if slices.Contains(tags, d.Tag) || len(tags) == 0 && d.Known {
			chosen = append(chosen, i)
		}
		if !o.asJSON {
			showDead(a, d)
		}
	}
	if missing := slices.DeleteFunc(slices.Clone(tags), func(t string) bool {
		return slices.ContainsFunc(dead, func(d cluster.DeadCluster) bool { return d.Tag == t })
	}); len(missing) > 0 {
		a.Errf("nothing was found with the tag %s\n", strings.Join(missing, ", "))
	}
	remove := o.yes && !o.dryRun
	switch {
	case len(chosen) == 0 && !o.asJSON:
		a.Errf("nothing to remove\n")
		return nil
	case !o.yes && !o.dryRun && !o.asJSON:
		remove = a.Confirm(fmt.Sprintf("remove %d of them? [y/N] ", len(chosen)))
	}
	if remove {
		err = removeDead(ctx, dead, chosen, rows, log)
	}
	if o.asJSON {
		return errors.Join(a.WriteJSON(rows), err)
	}
	if remove && err == nil {
		a.Errf("removed\n")
	}
	return err
}

func removeDead(ctx context.Context, dead []cluster.DeadCluster, chosen []int, rows []deadRow, log hclog.Logger) error {
	var all error
	for _, i := range chosen {
		err := dead[i].Remove(ctx, log)
		rows[i].Removed = err == nil
		if err != nil {
			rows[i].Error = err.Error()
		}
		all = errors.Join(all, err)
	}
	return all
}

// showDead prints one dead cluster.
func showDead(a *cli.App, d cluster.DeadCluster) {
	tag := d.Tag
	if tag == "" {
		tag = "(no tag)"
	}
	switch {
	case d.File != "":
		a.Outf("%s  %s: its supervisor is gone; controller %s, %s\n", tag, d.File, runningWord(d.Status.Controller), cli.Count(d.Status.Alive, "engine"))
	case d.Known:
		a.Outf("%s  its cluster file is gone\n", tag)
	default:
		a.Outf("%s  of a cluster that was not started from here; to remove it: ipcore gc %s\n", tag, tag)
	}
	for _, o := range d.Orphans {
		a.Outf("    %s (%s)\n", o.Text, o.Launcher)
	}
}
