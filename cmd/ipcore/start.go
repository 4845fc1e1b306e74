package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/pflag"

	"github.com/ipcore/ipcore/core/launch/cluster"
)

// endLimit is how long the end of a foreground cluster may take.
const endLimit = 5 * time.Second

type startOptions struct {
	place
	verbosity
	n             int
	engines       string
	controller    string
	engineCmd     string
	controllerCmd string
	python        string
	timeout       seconds
	wait          string
	daemonize     bool
	cleanLogs     bool
	config        string
	join          bool // engines alone, for the controller that runs
}

// startTraits are the configuration names that are options here.
var startTraits = map[string]string{
	"Cluster.n": "n", "Cluster.engine_timeout": "timeout", "Cluster.cluster_id": "cluster-id",
	"Cluster.engine_launcher_class": "engines", "Cluster.controller_launcher_class": "controller",
	"IPClusterStart.daemonize": "daemonize", "IPClusterStart.clean_logs": "clean-logs", "IPClusterEngines.n": "n",
	"IPClusterEngines.engine_launcher_class": "engines", "IPClusterStart.controller_launcher_class": "controller",
	"BaseParallelApplication.cluster_id": "cluster-id", "BaseIPythonApplication.profile": "profile",
	"ProfileDir.location": "profile-dir", "Application.log_level": "log-level",
}

func newStart(a *app) *command {
	o := &startOptions{}
	c := &command{
		name:  "start",
		args:  "[-n N] [options] [-- controller arguments]",
		short: "start a controller and engines",
		long: `Start a controller and N engines, and wait until all engines have registered.

The command stays in the foreground and watches the cluster; Ctrl-C stops it. With
--daemonize it returns when the engines have registered and leaves a watcher behind.
"ipcore -n 4" is short for "ipcore start -n 4". What follows "--" goes to the controller.

Options of launchers are --NAME.option=value, or --Class.option=value with the classes that
"ipcore launchers show NAME" lists, and --help-all for all; ipcluster_config.json of the
profile sets them too.`,
		example: `ipcore start -n 4
			ipcore start -n 4 --daemonize
			ipcore start -n 8 --engines=slurm --slurm.queue=debug --profile=cluster
			ipcore start -n 500 --engines=slurm --wait=16 --timeout=1h
			ipcore start -n 4 --engine-cmd 'python3 -m ipyparallel.engine'
			ipcore start -n 4 -- --ping=250`,
		flags: newFlags("start"), traits: startTraits, launchers: true,
	}
	fs := c.flags
	o.flags(fs)
	o.verbosity.flags(fs, "")
	c.all = func(ctx context.Context) error { return allOptions(ctx, a, o.place) }
	c.run = func(ctx context.Context, args []string) error {
		if err := o.configure(a, c); err != nil {
			return err
		}
		return o.run(ctx, a, c, args)
	}
	return c
}

// flags are those that say what to start.
func (o *startOptions) flags(fs *pflag.FlagSet) {
	fs.IntVarP(&o.n, "n", "n", 0, "start `N` engines (default: one for each CPU)")
	fs.StringVar(&o.engines, "engines", "local", "launcher of the engines: a `NAME` of \"ipcore launchers\" or of a Python entry point, or a path")
	if !o.join {
		fs.StringVar(&o.controller, "controller", "local", "launcher of the controller: a `NAME`, or a path")
	}
	o.place.flags(fs)
	fs.StringVar(&o.engineCmd, "engine-cmd", "", "`COMMAND` of an engine, in place of ipcore's own")
	if !o.join {
		fs.StringVar(&o.controllerCmd, "controller-cmd", "", "`COMMAND` of the controller, in place of ipcore's own")
	}
	fs.StringVar(&o.python, "python", "", "`PROGRAM` that is the engines' Python (default $IPCORE_PYTHON, an active environment's, python3)")
	fs.BoolVar(&o.daemonize, "daemonize", false, "return when the engines have registered")
	o.timeout = seconds(time.Minute)
	fs.Var(&o.timeout, "timeout", "how long to wait for the engines to register")
	fs.StringVar(&o.wait, "wait", "all", "wait for so `MANY` engines: a number, all, or none")
	if !o.join {
		fs.BoolVar(&o.cleanLogs, "clean-logs", true, "remove the logs of the cluster's earlier runs")
	}
	fs.StringVar(&o.config, "config", "", "`FILE` with settings, beside the profile's ipcluster_config.json or .py")
}

// configure reads the configuration files.
func (o *startOptions) configure(a *app, c *command) error {
	p, _, err := o.place.resolve()
	if err != nil {
		return err
	}
	if err := a.configure(c, p.Dir, "ipcluster_config", o.config); err != nil {
		return err
	}
	if o.n == 0 && c.flags.Changed("n") {
		return &usageError{text: "-n: a cluster has at least one engine", hint: "to run a controller alone: ipcore controller"}
	}
	return nil
}

// waitFor reads --wait.
func (o *startOptions) waitFor() (int, error) {
	switch o.wait {
	case "", "all":
		return 0, nil
	case "none":
		return cluster.WaitNone, nil
	}
	n, err := strconv.Atoi(o.wait)
	if err != nil || n < 1 {
		return 0, &usageError{text: fmt.Sprintf("--wait: %q is not a valid number of engines", o.wait), hint: "use a number, all or none"}
	}
	return n, nil
}

// clusterOptions makes the cluster's options of the flags.
func (o *startOptions) clusterOptions(args []string) (cluster.Options, error) {
	p, _, err := o.place.resolve()
	if err != nil {
		return cluster.Options{}, err
	}
	engine, err := splitWords(o.engineCmd)
	if err != nil {
		return cluster.Options{}, &usageError{text: "--engine-cmd: " + err.Error()}
	}
	controller, err := splitWords(o.controllerCmd)
	if err != nil {
		return cluster.Options{}, &usageError{text: "--controller-cmd: " + err.Error()}
	}
	wait, err := o.waitFor()
	if err != nil {
		return cluster.Options{}, err
	}
	level := o.level
	switch {
	case o.debug:
		level = "debug"
	case o.quiet:
		level = "error"
	}
	id, join := o.clusterID, (*string)(nil)
	if o.join {
		id, join = "", &o.clusterID
	}
	return cluster.Options{
		Profile: p, ID: id, Join: join, N: o.n, Timeout: time.Duration(o.timeout), Wait: wait,
		Controller: o.controller, Engines: o.engines,
		ControllerCommand: controller, EngineCommand: engine, ControllerArgs: args,
		Python: o.python, LogLevel: level, CleanLogs: o.cleanLogs,
	}, nil
}

func (o *startOptions) run(ctx context.Context, a *app, c *command, args []string) error {
	co, err := o.clusterOptions(args)
	if err != nil {
		return err
	}
	co.Settings = c.settings
	report := reporter() // of a daemon's child
	if o.daemonize && report == nil {
		return daemonize(ctx, a, co, c.line)
	}
	if report != nil {
		given, err := readSettings(a.In)
		if err != nil {
			return err
		}
		co.Settings = append(co.Settings, given...)
	}
	if o.level == "" {
		o.level = "warn"
		if report != nil {
			o.level = "info"
		}
	}
	log, err := o.logger(a.streams, "ipcore")
	if err != nil {
		return err
	}
	co.Log = log
	var show display = newScreen(a.streams)
	if report != nil {
		show = report
	}
	err = supervise(ctx, co, show)
	if _, ok := errors.AsType[*cluster.RunningError](err); ok {
		err = &hintedError{err: err, hint: "to stop it: ipcore stop" + argsFor(co.Profile, co.ID)}
	}
	if missing, ok := errors.AsType[*cluster.NoControllerError](err); ok {
		err = &hintedError{err: err, hint: "start one with: ipcore start" + argsFor(co.Profile, missing.ID) + "; ipcore list shows all clusters"}
	}
	if report != nil {
		report.failed(err)
	}
	return err
}

// display shows how a start goes on.
type display interface {
	progress(cluster.Progress)
	running(co cluster.Options, file string, took time.Duration)
	ended()
	left(cluster.Leftover) // of a stop
}

// supervise starts a cluster and stays until it has ended: by itself, or by a
// signal. A second signal kills what is still there.
func supervise(ctx context.Context, co cluster.Options, show display) error {
	began := time.Now()
	co.Progress = show.progress
	c, err := cluster.New(co)
	if err != nil {
		return err
	}
	ctx, interrupted, release := interruptible(ctx, c, co.Log)
	defer release()

	if err := c.Start(ctx); err != nil {
		show.ended()
		if interrupted() && !errors.Is(err, cluster.ErrLeftover) {
			return nil
		}
		return err
	}
	co.N, co.ID = c.N(), c.ID()
	show.running(co, c.File(), time.Since(began))
	// The start's garbage is large beside what watching needs.
	debug.SetGCPercent(25)
	debug.FreeOSMemory()

	err = c.Supervise(ctx)
	if !interrupted() {
		return err
	}
	limited, cancel := context.WithTimeout(context.Background(), endLimit)
	defer cancel()
	err = c.Stop(limited)
	show.left(c.Leftover())
	return err
}

// interruptible ends the context with the first signal that asks for an end,
// and kills the cluster's processes with the second.
func interruptible(ctx context.Context, c *cluster.Cluster, log hclog.Logger) (_ context.Context, interrupted func() bool, release func()) {
	ctx, cancel := context.WithCancel(ctx)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	// Caught and dropped: a reader of our output that goes away must not end the
	// cluster's supervisor.
	pipes := make(chan os.Signal, 1)
	signal.Notify(pipes, syscall.SIGPIPE)
	first := make(chan struct{})
	done := make(chan struct{})
	var passing sync.WaitGroup
	passing.Go(func() {
		select {
		case s := <-signals:
			log.Info("stopping", "signal", s.String())
			close(first)
			cancel()
		case <-done:
			return
		}
		select {
		case <-signals:
			limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), endLimit)
			defer cancel()
			if err := c.Kill(limited); err != nil {
				log.Error("kill", "error", err)
			}
		case <-done:
		}
	})
	return ctx, func() bool {
			select {
			case <-first:
				return true
			default:
				return false
			}
		}, func() {
			signal.Stop(signals)
			signal.Stop(pipes)
			close(done)
			passing.Wait()
			cancel()
		}
}

// splitWords splits a command line as a POSIX shell does, without expanding
// anything: blanks separate, quotes and backslashes protect.
func splitWords(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord := false
	quote := rune(0)
	escaped := false
	for _, r := range line {
		switch {
		case escaped:
			if quote == '"' && r != '"' && r != '\\' {
				word.WriteRune('\\')
			}
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			escaped, inWord = true, true
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, inWord = r, true
		case r == ' ' || r == '\t' || r == '\n':
			if inWord {
				words = append(words, word.String())
				word.Reset()
			}
			inWord = false
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	if quote != 0 || escaped {
		return nil, fmt.Errorf("%q has an open quote", line)
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}
