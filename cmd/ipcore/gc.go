package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/launch/cluster"
	"github.com/ipcore/ipcore/core/launch/registry"
)

type gcOptions struct {
	listOptions
	yes    bool
	dryRun bool
}

func newGC(a *app) *command {
	o := &gcOptions{}
	c := &command{
		name:  "gc",
		args:  "[tags...] [--yes | --dry-run]",
		short: "find what dead clusters left, and remove it",
		long: `Find what is left of clusters that nobody watches any more: cluster files whose watcher
is gone, and processes and jobs that carry the tag of a cluster without a file. They are
shown, and removed when you say yes. What belongs to a cluster that this account has not
started from here is shown and left alone, unless its tag is an argument.

Launchers are asked with the options that the profile's ipcluster_config sets: hosts of
ssh, commands of a batch system.`,
		example: `ipcore gc --dry-run
			ipcore gc --yes
			ipcore gc ipcore-3f2a91c0-77ab01d2`,
		flags: newFlags("gc"),
	}
	o.place.flags(c.flags)
	hide(c.flags, "cluster-id")
	c.flags.BoolVar(&o.yes, "yes", false, "remove without asking")
	c.flags.BoolVar(&o.dryRun, "dry-run", false, "only show")
	c.flags.BoolVar(&o.asJSON, "json", false, "print a JSON list; asks nothing, so add --yes to remove")
	o.verbosity.flags(c.flags, "error")
	c.run = func(ctx context.Context, args []string) error { return o.run(ctx, a, args) }
	return c
}

// strayRow is one stray as --json tells it.
type strayRow struct {
	Tag        string           `json:"tag"`
	File       string           `json:"file"`
	Controller bool             `json:"controller_running"`
	Engines    int              `json:"engines_running"`
	Known      bool             `json:"known"`
	Survivors  []cluster.Orphan `json:"survivors"`
	Removed    bool             `json:"removed"`
	Error      string           `json:"error,omitempty"`
}

func (o *gcOptions) run(ctx context.Context, a *app, tags []string) error {
	if o.yes && o.dryRun {
		return &usageError{text: "--yes and --dry-run exclude each other"}
	}
	log, err := o.logger(a.streams, "ipcore")
	if err != nil {
		return err
	}
	p, _, err := o.place.resolve()
	if err != nil {
		return err
	}
	profiles, err := o.profiles()
	if err != nil {
		return err
	}
	settings, err := a.launcherSettings(p.Dir)
	if err != nil {
		return err
	}
	strays, errs := cluster.FindDeadClusters(ctx, profiles, registry.Search{ProfileDir: p.Dir}, settings, log)
	for _, err := range errs {
		a.errf("warning: %v\n", err)
	}
	rows := make([]strayRow, len(strays))
	var chosen []int
	for i, s := range strays {
		rows[i] = strayRow{Tag: s.Tag, File: s.File, Known: s.Known, Survivors: append([]cluster.Orphan{}, s.Orphans...)}
		if s.Status != nil {
			rows[i].Controller, rows[i].Engines = s.Status.Controller, s.Status.Alive
		}
		if slices.Contains(tags, s.Tag) || len(tags) == 0 && s.Known {
			chosen = append(chosen, i)
		}
		if !o.asJSON {
			showStray(a, s)
		}
	}
	if missing := slices.DeleteFunc(slices.Clone(tags), func(t string) bool {
		return slices.ContainsFunc(strays, func(s cluster.DeadCluster) bool { return s.Tag == t })
	}); len(missing) > 0 {
		a.errf("nothing carries %s\n", strings.Join(missing, ", "))
	}
	remove := o.yes && !o.dryRun
	switch {
	case len(chosen) == 0 && !o.asJSON:
		a.errf("nothing to remove\n")
		return nil
	case !o.yes && !o.dryRun && !o.asJSON:
		remove = a.confirm(fmt.Sprintf("remove %d of them? [y/N] ", len(chosen)))
	}
	if remove {
		err = removeStrays(ctx, strays, chosen, rows, log)
	}
	if o.asJSON {
		return errors.Join(writeJSON(a.Out, rows), err)
	}
	if remove && err == nil {
		a.errf("removed\n")
	}
	return err
}

func removeStrays(ctx context.Context, strays []cluster.DeadCluster, chosen []int, rows []strayRow, log hclog.Logger) error {
	var all error
	for _, i := range chosen {
		err := strays[i].Remove(ctx, log)
		rows[i].Removed = err == nil
		if err != nil {
			rows[i].Error = err.Error()
		}
		all = errors.Join(all, err)
	}
	return all
}

// showStray prints one stray.
func showStray(a *app, s cluster.DeadCluster) {
	tag := s.Tag
	if tag == "" {
		tag = "(no tag)"
	}
	switch {
	case s.File != "":
		a.outf("%s  %s: its watcher is gone; controller %s, %s\n", tag, s.File, runningWord(s.Status.Controller), count(s.Status.Alive, "engine"))
	case s.Known:
		a.outf("%s  its cluster file is gone\n", tag)
	default:
		a.outf("%s  of a cluster that was not started from here; to remove it: ipcore gc %s\n", tag, tag)
	}
	for _, v := range s.Orphans {
		a.outf("    %s (%s)\n", v.Text, v.Launcher)
	}
}

// confirm asks a question; anything but yes is no.
func (s *streams) confirm(question string) bool {
	s.errf("%s", question)
	line, err := bufio.NewReader(s.In).ReadString('\n')
	if err != nil && line == "" {
		s.errf("\n")
		return false
	}
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes"
}
