package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ipcore/ipcore/core/launch/clusterfile"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/launch/cluster"
	"github.com/ipcore/ipcore/core/profile"
)

type stopOptions struct {
	place
	verbosity
	all bool
}

func newStop(a *app) *command {
	o := &stopOptions{}
	c := &command{
		name:  "stop",
		args:  "[ids...] [--all]",
		short: "stop a cluster",
		long: `Stop a cluster: its engines, its controller and the process that watches it, and engines
that "ipcore engines" had join it. Arguments are ids of clusters of the profile; without them
it is the one without a name.

It works from any terminal, and also when the watching process has died.`,
		example: `ipcore stop
			ipcore stop --profile=cluster
			ipcore stop night day
			ipcore stop --all`,
		flags: newFlags("stop"),
	}
	o.place.flags(c.flags)
	c.flags.BoolVar(&o.all, "all", false, "stop every cluster of the profile")
	c.flags.String("signal", "", "accepted for compatibility; without effect")
	hide(c.flags, "signal")
	o.verbosity.flags(c.flags, "warn")
	c.run = func(ctx context.Context, args []string) error { return o.run(ctx, a, args) }
	return c
}

func (o *stopOptions) run(ctx context.Context, a *app, ids []string) error {
	p, file, err := o.place.resolve()
	if err != nil {
		return err
	}
	log, err := o.logger(a.streams, "ipcore")
	if err != nil {
		return err
	}
	var files []string
	switch {
	case o.all && len(ids) > 0:
		return &usageError{text: "--all and ids exclude each other"}
	case o.all:
		if files, err = cluster.Files(p); err != nil {
			return err
		}
	case len(ids) > 0:
		for _, id := range ids {
			files = append(files, clusterfile.Path(p.SecurityDir(), id))
		}
	default:
		files = []string{file}
	}
	joined, own, err := cluster.StopOrder(p, files)
	if err != nil {
		return err
	}
	files = append(joined, own...)
	left, err := stopAll(ctx, joined, true, log)
	rest, ownErr := stopAll(ctx, own, false, log)
	err = errors.Join(err, ownErr)
	left.Orphans = append(left.Orphans, rest.Orphans...)
	left.Unasked = append(left.Unasked, rest.Unasked...)
	if _, ok := errors.AsType[*cluster.NotFoundError](err); ok {
		return &exitError{code: exitNoCluster, err: &hintedError{err: err, hint: othersHint(p)}}
	}
	newScreen(a.streams).left(left)
	if err == nil && len(left.Orphans) > 0 {
		tags := make([]string, len(left.Orphans))
		for i, s := range left.Orphans {
			tags[i] = s.Tag
		}
		slices.Sort(tags)
		return &hintedError{
			err:  fmt.Errorf("%s stopped, but something is still there", count(len(files), "cluster")),
			hint: "to end them: ipcore gc " + strings.Join(slices.Compact(tags), " "),
		}
	}
	if err == nil && len(left.Unasked) == 0 {
		a.errf("%s stopped, nothing is left\n", count(len(files), "cluster"))
	} else if err == nil {
		a.errf("%s stopped\n", count(len(files), "cluster"))
	}
	if h := hinter(nil); errors.Is(err, cluster.ErrLeftover) && !errors.As(err, &h) {
		return &hintedError{err: err, hint: "nothing of it is forgotten: ipcore stop tries again"}
	}
	return err
}

// stopAll stops clusters at the same time. mayBeGone tells that one that is not there
// is as good as stopped: it was there a moment ago.
func stopAll(ctx context.Context, files []string, mayBeGone bool, log hclog.Logger) (left cluster.Leftover, err error) {
	type result struct {
		left cluster.Leftover
		err  error
	}
	results := make(chan result, len(files))
	for _, file := range files {
		go func() {
			left, err := cluster.Stop(ctx, file, log)
			if _, gone := errors.AsType[*cluster.NotFoundError](err); gone && mayBeGone {
				err = nil
			}
			results <- result{left, err}
		}()
	}
	for range files {
		r := <-results
		err = errors.Join(err, r.err)
		left.Orphans = append(left.Orphans, r.left.Orphans...)
		left.Unasked = append(left.Unasked, r.left.Unasked...)
	}
	return left, err
}

// othersHint says where clusters are, for somebody who named one that is not.
func othersHint(p profile.Profile) string {
	files, err := cluster.Files(p)
	if err != nil || len(files) == 0 {
		return "ipcore list shows all clusters"
	}
	return fmt.Sprintf("this profile has %s; ipcore list shows all", count(len(files), "other cluster"))
}
