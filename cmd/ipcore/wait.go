package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/ipcore/ipcore/core/launch/clusterfile"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/launch/cluster"
)

type waitOptions struct {
	place
	verbosity
	n       int
	ended   bool
	timeout seconds
}

func newWait(a *app) *command {
	o := &waitOptions{timeout: seconds(time.Minute)}
	c := &command{
		name:  "wait",
		args:  "[-n N | --ended] [--timeout T]",
		short: "wait until engines have registered, or all has ended",
		long: `Wait until N engines have registered with the controller: as many as the cluster was
started with, unless -n says another number. A cluster that is not there yet is waited for
as well. With --ended, wait until nothing of the cluster runs; one that is not there has
ended, and there is no limit unless --timeout says one. When the time is over the exit
code is 124, as that of timeout(1).`,
		example: `ipcore wait
			ipcore wait -n 16 --timeout 10m
			ipcore wait --ended --timeout 12h`,
		flags: newFlags("wait"),
	}
	c.flags.IntVarP(&o.n, "n", "n", 0, "wait for `N` engines")
	c.flags.BoolVar(&o.ended, "ended", false, "wait until nothing of the cluster runs")
	o.place.flags(c.flags)
	c.flags.Var(&o.timeout, "timeout", "how long to wait")
	o.verbosity.flags(c.flags, "warn")
	c.run = func(ctx context.Context, args []string) error {
		if len(args) == 1 && o.n == 0 {
			n, err := strconv.Atoi(args[0])
			if err != nil {
				return &usageError{text: fmt.Sprintf("%q is no number of engines", args[0])}
			}
			o.n, args = n, nil
		}
		if err := noArguments(args); err != nil {
			return err
		}
		if o.ended && o.n != 0 {
			return &usageError{text: "--ended and a number of engines exclude each other"}
		}
		if o.ended && !c.flags.Changed("timeout") {
			o.timeout = 0
		}
		return o.run(ctx, a)
	}
	return c
}

func (o *waitOptions) run(ctx context.Context, a *app) error {
	log, err := o.logger(a.streams, "ipcore")
	if err != nil {
		return err
	}
	p, file, err := o.place.resolve()
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
			return o.gaveUp(errors.New("the cluster runs"))
		}
		return err
	}
	if err := awaitFile(ctx, clientFile(p, o.clusterID)); err != nil {
		return fmt.Errorf("gave up after %v: %w", time.Duration(o.timeout), err)
	}
	n := o.n
	if n <= 0 {
		n = 1
		if r, err := clusterfile.ReadRecord(file); err == nil {
			n = r.Cluster.N
		}
	}
	c, err := o.place.connect(ctx, log)
	if err != nil {
		return err
	}
	defer c.Close()
	show := newScreen(a.streams)
	err = c.WaitForEngines(ctx, n, func(have int) {
		show.progress(cluster.Progress{Stage: cluster.StageEngines, Have: have, N: n})
	})
	show.wipe()
	if errors.Is(err, context.DeadlineExceeded) {
		return o.gaveUp(err)
	}
	if err == nil {
		a.outf("%s registered\n", count(len(c.IDs()), "engine"))
	}
	return err
}

// gaveUp is the error of a wait whose time is over.
func (o *waitOptions) gaveUp(err error) error {
	return &exitError{code: exitTimeout, err: fmt.Errorf("gave up after %v: %w", time.Duration(o.timeout), err)}
}

// awaitEnd returns when nothing of a cluster runs, or there is none.
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
			pause = time.Second // launchers were asked
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// filePoll is how often a file is looked for that is not there yet.
const filePoll = 50 * time.Millisecond

// awaitFile returns when the file is there.
func awaitFile(ctx context.Context, path string) error {
	tick := time.NewTicker(filePoll)
	defer tick.Stop()
	for {
		if _, err := os.Stat(path); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return &exitError{code: exitNoCluster, err: fmt.Errorf("no controller is running: there is no %s", path)}
		case <-tick.C:
		}
	}
}
