package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/ipcore/ipcore/cmd/ipcore/internal/cli"
	"github.com/ipcore/ipcore/core/launch/cluster"
	"github.com/ipcore/ipcore/core/launch/clusterfile"
)

type waitOptions struct {
	cli.ClusterOptions
	n       int
	ended   bool
	timeout cli.Seconds
}

func newWait(a *cli.App) *cli.Command {
	o := &waitOptions{timeout: cli.Seconds(time.Minute)}
	c := cli.NewCommand(&cobra.Command{
		Use:   "wait [-n N | --ended] [--timeout T]",
		Short: "wait until engines have registered, or all has ended",
		Long: `Wait until N engines have registered with the controller; without -n it is the number that
the cluster was started with. The cluster need not exist yet. With --ended, wait until
nothing of the cluster runs; a cluster that does not exist has ended, and without --timeout
there is no limit. The exit code is 124, as that of timeout(1), when the time is over.`,
		Example: `ipcore wait
			ipcore wait -n 16 --timeout 10m
			ipcore wait --ended --timeout 12h`,
		ValidArgsFunction: cli.NoCompletion,
	})
	c.Flags().IntVarP(&o.n, "n", "n", 0, "wait for `N` engines")
	c.Flags().BoolVar(&o.ended, "ended", false, "wait until nothing of the cluster runs")
	c.Flags().Var(&o.timeout, "timeout", "how long to wait")
	o.AddFlags(c, "warn")
	c.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 || o.n != 0 {
			return cli.NoArguments(cmd, args)
		}
		n, err := strconv.Atoi(args[0])
		if err != nil {
			return cli.UsageError(fmt.Sprintf("%q is not a valid number of engines", args[0]), "")
		}
		o.n = n
		return nil
	}
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if o.ended && o.n != 0 {
			return cli.UsageError("--ended and a number of engines exclude each other", "")
		}
		if o.ended && !c.Flags().Changed("timeout") {
			o.timeout = 0
		}
		return o.run(cmd.Context(), a)
	}
	return c
}

func (o *waitOptions) run(ctx context.Context, a *cli.App) error {
	p, file, log, err := o.Open(a.Streams)
	if err != nil {
		return err
	}
	if o.ended && o.timeout == 0 {
		return awaitEnd(ctx, file, log)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(o.timeout))
	defer cancel()
	if o.ended {
		err := awaitEnd(ctx, file, log)
		if errors.Is(err, context.DeadlineExceeded) {
			return o.gaveUp(errors.New("the cluster is still running"))
		}
		return err
	}
	if err := awaitFile(ctx, cli.ClientFile(p, o.ClusterID)); err != nil {
		return fmt.Errorf("gave up after %v: %w", time.Duration(o.timeout), err)
	}
	n := o.n
	if n <= 0 {
		n = 1
		if r, err := clusterfile.ReadRecord(file); err == nil {
			n = r.Cluster.N
		}
	}
	c, err := o.Connect(ctx, log)
	if err != nil {
		return err
	}
	defer c.Close()
	show := cli.NewProgress(a.Streams)
	err = c.WaitForEngines(ctx, n, func(have int) {
		show.Show(cluster.Progress{Stage: cluster.StageEngines, Have: have, N: n})
	})
	show.Clear()
	if errors.Is(err, context.DeadlineExceeded) {
		return o.gaveUp(err)
	}
	if err == nil {
		a.Outf("%s registered\n", cli.Count(len(c.IDs()), "engine"))
	}
	return err
}

// gaveUp returns the error of a wait whose time is over.
func (o *waitOptions) gaveUp(err error) error {
	return cli.WithExitCode(cli.ExitTimeout, fmt.Errorf("gave up after %v: %w", time.Duration(o.timeout), err))
}

// awaitEnd returns when nothing of a cluster runs, or the cluster does not exist.
func awaitEnd(ctx context.Context, file string, log hclog.Logger) error {
	for {
		s, err := cluster.Inspect(ctx, file, log)
		_, missing := errors.AsType[*cluster.NotFoundError](err)
		switch {
		case missing:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return err
		case !s.Running() && s.Err == nil:
			return nil
		}
		pause := filePoll
		if !s.Supervised {
			pause = time.Second // launchers were asked, which costs more
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// filePoll is how often to look for a file that does not exist yet.
const filePoll = 50 * time.Millisecond

// awaitFile returns when the file exists.
func awaitFile(ctx context.Context, path string) error {
	tick := time.NewTicker(filePoll)
	defer tick.Stop()
	for {
		if _, err := os.Stat(path); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return cli.WithExitCode(cli.ExitNoCluster, fmt.Errorf("no controller is running: there is no %s", path))
		case <-tick.C:
		}
	}
}
