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
	"github.com/ipcore/ipcore/core/launch/clusterfile"
	"github.com/ipcore/ipcore/core/profile"
)

type stopOptions struct {
	cli.ClusterOptions
	all bool
}

func newStop(a *cli.App) *cli.Command {
	o := &stopOptions{}
	c := cli.NewCommand(&cobra.Command{
		Use:   "stop [ids...] [--all]",
		Short: "stop a cluster",
		Long: `Stop a cluster: its engines, its controller and its supervisor, and engines that joined it
with "ipcore engines". Arguments are ids of clusters of the profile; without arguments it
is the cluster with the empty id.

It works from any terminal, even if the supervisor has crashed.`,
		Example: `ipcore stop
			ipcore stop --profile=cluster
			ipcore stop night day
			ipcore stop --all`,
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), a, args) },
	})
	c.ValidArgsFunction = func(_ *cobra.Command, given []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ids := slices.DeleteFunc(o.IDs(), func(id string) bool { return slices.Contains(given, id) })
		return cli.Beginning(word, ids), cobra.ShellCompDirectiveNoFileComp
	}
	c.Flags().BoolVar(&o.all, "all", false, "stop every cluster of the profile")
	c.Flags().String("signal", "", "accepted for compatibility; without effect")
	c.Hide("signal")
	o.AddFlags(c, "warn")
	return c
}

func (o *stopOptions) run(ctx context.Context, a *cli.App, ids []string) error {
	p, file, log, err := o.Open(a.Streams)
	if err != nil {
		return err
	}
	var files []string
	switch {
	case o.all && len(ids) > 0:
		return cli.UsageError("--all and ids exclude each other", "")
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
		return cli.WithExitCode(cli.ExitNoCluster, cli.WithHint(err, otherClustersHint(p)))
	}
	cli.NewProgress(a.Streams).Leftover(left)
	if err == nil && len(left.Orphans) > 0 {
		tags := make([]string, len(left.Orphans))
		for i, s := range left.Orphans {
			tags[i] = s.Tag
		}
		slices.Sort(tags)
		return cli.WithHint(fmt.Errorf("%s stopped, but some processes or jobs are left", cli.Count(len(files), "cluster")),
			"to end them: ipcore gc "+strings.Join(slices.Compact(tags), " "))
	}
	if err == nil && len(left.Unasked) == 0 {
		a.Errf("%s stopped, nothing is left\n", cli.Count(len(files), "cluster"))
	} else if err == nil {
		a.Errf("%s stopped\n", cli.Count(len(files), "cluster"))
	}
	if errors.Is(err, cluster.ErrLeftover) && cli.Hint(err) == "" {
		return cli.WithHint(err, "what is left is recorded; to try again: ipcore stop")
	}
	return err
}

// stopAll stops clusters at the same time. With mayBeGone a cluster that does not
// exist counts as stopped: it existed a moment ago.
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

// otherClustersHint says which clusters there are, for a user who named one that does
// not exist.
func otherClustersHint(p profile.Profile) string {
	files, err := cluster.Files(p)
	if err != nil || len(files) == 0 {
		return "ipcore list shows all clusters"
	}
	return fmt.Sprintf("this profile has %s; ipcore list shows all", cli.Count(len(files), "other cluster"))
}
