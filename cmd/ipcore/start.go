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
	"github.com/spf13/cobra"

	"github.com/ipcore/ipcore/cmd/ipcore/internal/cli"
	"github.com/ipcore/ipcore/cmd/ipcore/internal/traits"
	"github.com/ipcore/ipcore/core/launch/cluster"
)

// endLimit is how long the stop of a foreground cluster may take.
const endLimit = 5 * time.Second

type startOptions struct {
	cli.ClusterOptions
	n             int
	engines       string
	controller    string
	engineCmd     string
	controllerCmd string
	python        string
	timeout       cli.Seconds
	wait          string
	daemonize     bool
	cleanLogs     bool
	config        string
	join          bool // start engines alone, for a controller that runs
}

// startTraits are the names of configuration that have a flag here.
var startTraits = traits.Table{
	"Cluster.n": "n", "Cluster.engine_timeout": "timeout", "Cluster.cluster_id": "cluster-id",
	"Cluster.engine_launcher_class": "engines", "Cluster.controller_launcher_class": "controller",
	"IPClusterStart.daemonize": "daemonize", "IPClusterStart.clean_logs": "clean-logs", "IPClusterEngines.n": "n",
	"IPClusterEngines.engine_launcher_class": "engines", "IPClusterStart.controller_launcher_class": "controller",
	"BaseParallelApplication.cluster_id": "cluster-id", "BaseIPythonApplication.profile": "profile",
	"ProfileDir.location": "profile-dir", "Application.log_level": "log-level",
}

func newStart(a *cli.App) *cli.Command {
	o := &startOptions{}
	c := cli.NewCommand(&cobra.Command{
		Use:   "start [-n N] [options] [-- controller arguments]",
		Short: "start a controller and engines",
		Long: `Start a controller and N engines, and wait until all engines have registered.

The command stays in the foreground and watches the cluster; Ctrl-C stops it. With
--daemonize it returns when the engines have registered and leaves a supervisor process
behind. "ipcore -n 4" is short for "ipcore start -n 4". Arguments after "--" are passed to
the controller.

Options of launchers are --NAME.option=value, or --Class.option=value with the classes that
"ipcore launchers show NAME" lists; --help-all lists the options of all launchers. The
profile's ipcluster_config.json can set them too.`,
		Example: `ipcore start -n 4
			ipcore start -n 4 --daemonize
			ipcore start -n 8 --engines=slurm --slurm.queue=debug --profile=cluster
			ipcore start -n 500 --engines=slurm --wait=16 --timeout=1h
			ipcore start -n 4 --engine-cmd 'python3 -m ipyparallel.engine'
			ipcore start -n 4 -- --ping=250`,
	})
	o.setup(a, c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if err := o.readConfig(a, c); err != nil {
			return err
		}
		return o.run(cmd.Context(), a, c, args)
	}
	return c
}

// setup adds the flags that say what to start.
func (o *startOptions) setup(a *cli.App, c *cli.Command) {
	c.Traits, c.Launchers = startTraits, true
	c.HelpAll = func(ctx context.Context) error { return allOptions(ctx, a, o.Target) }
	c.ValidArgsFunction = cli.NoCompletion
	fs := c.Flags()
	fs.IntVarP(&o.n, "n", "n", 0, "start `N` engines (default: one for each CPU)")
	fs.StringVar(&o.engines, "engines", "local", "launcher of the engines: a `NAME` of \"ipcore launchers\" or of a Python entry point, or a path")
	c.Complete("engines", completeLauncher(&o.Target))
	if !o.join {
		fs.StringVar(&o.controller, "controller", "local", "launcher of the controller: a `NAME`, or a path")
		c.Complete("controller", completeLauncher(&o.Target))
	}
	o.Target.AddFlags(c)
	fs.StringVar(&o.engineCmd, "engine-cmd", "", "`COMMAND` of an engine, in place of ipcore's own")
	if !o.join {
		fs.StringVar(&o.controllerCmd, "controller-cmd", "", "`COMMAND` of the controller, in place of ipcore's own")
	}
	fs.StringVar(&o.python, "python", "", "`PROGRAM` to use as the engines' Python (default $IPCORE_PYTHON, an active environment's, python3)")
	fs.BoolVar(&o.daemonize, "daemonize", false, "return when the engines have registered")
	o.timeout = cli.Seconds(time.Minute)
	fs.Var(&o.timeout, "timeout", "how long to wait for the engines to register")
	fs.StringVar(&o.wait, "wait", "all", "wait for this many `ENGINES`: a number, all, or none")
	c.Complete("wait", cli.Choices("all", "none"))
	if !o.join {
		fs.BoolVar(&o.cleanLogs, "clean-logs", true, "remove the logs of the cluster's earlier runs")
	}
	fs.StringVar(&o.config, "config", "", "`FILE` with settings, in addition to the profile's ipcluster_config.json or .py")
	o.LogOptions.AddFlags(c, "")
}

// readConfig reads the configuration files.
func (o *startOptions) readConfig(a *cli.App, c *cli.Command) error {
	p, _, err := o.Resolve()
	if err != nil {
		return err
	}
	if err := a.ReadConfig(c, p.Dir, "ipcluster_config", o.config); err != nil {
		return err
	}
	if o.n == 0 && c.Flags().Changed("n") {
		return cli.UsageError("-n: a cluster has at least one engine", "to run a controller alone: ipcore controller")
	}
	return nil
}

// waitFor returns the value of --wait as the cluster's option.
func (o *startOptions) waitFor() (int, error) {
	switch o.wait {
	case "", "all":
		return 0, nil
	case "none":
		return cluster.WaitNone, nil
	}
	n, err := strconv.Atoi(o.wait)
	if err != nil || n < 1 {
		return 0, cli.UsageError(fmt.Sprintf("--wait: %q is not a valid number of engines", o.wait), "use a number, all or none")
	}
	return n, nil
}

// clusterOptions returns the cluster's options for the flags. args are arguments for
// the controller.
func (o *startOptions) clusterOptions(args []string) (cluster.Options, error) {
	p, _, err := o.Resolve()
	if err != nil {
		return cluster.Options{}, err
	}
	engine, err := splitWords(o.engineCmd)
	if err != nil {
		return cluster.Options{}, cli.UsageError("--engine-cmd: "+err.Error(), "")
	}
	controller, err := splitWords(o.controllerCmd)
	if err != nil {
		return cluster.Options{}, cli.UsageError("--controller-cmd: "+err.Error(), "")
	}
	wait, err := o.waitFor()
	if err != nil {
		return cluster.Options{}, err
	}
	level := o.Level
	switch {
	case o.Debug:
		level = "debug"
	case o.Quiet:
		level = "error"
	}
	id, join := o.ClusterID, (*string)(nil)
	if o.join {
		id, join = "", &o.ClusterID
	}
	return cluster.Options{
		Profile: p, ID: id, Join: join, N: o.n, Timeout: time.Duration(o.timeout), Wait: wait,
		Controller: o.controller, Engines: o.engines,
		ControllerCommand: controller, EngineCommand: engine, ControllerArgs: args,
		Python: o.python, LogLevel: level, CleanLogs: o.cleanLogs,
	}, nil
}

// controllersID returns the id of the cluster whose controller a start's engines use.
func controllersID(co cluster.Options) string {
	if co.Join != nil {
		return *co.Join
	}
	return co.ID
}

func (o *startOptions) run(ctx context.Context, a *cli.App, c *cli.Command, args []string) error {
	co, err := o.clusterOptions(args)
	if err != nil {
		return err
	}
	co.Settings = c.Settings
	report := inheritedReport() // nil unless this is the daemon
	if o.daemonize && report == nil {
		return daemonize(ctx, a, co, c.Line)
	}
	if report != nil {
		given, err := readSettings(a.In)
		if err != nil {
			return err
		}
		co.Settings = append(co.Settings, given...)
	}
	if o.Level == "" {
		o.Level = "warn"
		if report != nil {
			o.Level = "info"
		}
	}
	log, err := o.Logger(a.Streams, "ipcore")
	if err != nil {
		return err
	}
	co.Log = log
	var show display = cli.NewProgress(a.Streams)
	if report != nil {
		show = report
	}
	err = supervise(ctx, co, show)
	if _, ok := errors.AsType[*cluster.RunningError](err); ok {
		err = cli.WithHint(err, "to stop it: ipcore stop"+cli.OptionsFor(co.Profile, co.ID))
	}
	if missing, ok := errors.AsType[*cluster.NoControllerError](err); ok {
		err = cli.WithHint(err, "start one with: ipcore start"+cli.OptionsFor(co.Profile, missing.ID)+"; ipcore list shows all clusters")
	}
	if report != nil {
		report.failed(err)
	}
	return err
}

// A display shows how a start proceeds.
type display interface {
	Show(cluster.Progress)
	Running(co cluster.Options, file string, took time.Duration)
	Clear()                    // after a start that failed
	Leftover(cluster.Leftover) // of a stop
}

var _ display = (*cli.Progress)(nil)

// supervise starts a cluster and stays until it has ended, by itself or because of a
// signal. A second signal kills the processes that are left.
func supervise(ctx context.Context, co cluster.Options, show display) error {
	began := time.Now()
	co.Progress = show.Show
	c, err := cluster.New(co)
	if err != nil {
		return err
	}
	ctx, interrupted, release := interruptible(ctx, c, co.Log)
	defer release()

	if err := c.Start(ctx); err != nil {
		show.Clear()
		if interrupted() && !errors.Is(err, cluster.ErrLeftover) {
			return nil
		}
		return err
	}
	co.N, co.ID = c.N(), c.ID()
	show.Running(co, c.File(), time.Since(began))
	// The garbage of the start is large compared to what supervising needs.
	debug.SetGCPercent(25)
	debug.FreeOSMemory()

	err = c.Supervise(ctx)
	if !interrupted() {
		return err
	}
	limited, cancel := context.WithTimeout(context.Background(), endLimit)
	defer cancel()
	err = c.Stop(limited)
	show.Leftover(c.Leftover())
	return err
}

// interruptible cancels the context on the first signal that asks the program to
// end, and kills the cluster's processes on the second.
func interruptible(ctx context.Context, c *cluster.Cluster, log hclog.Logger) (_ context.Context, interrupted func() bool, release func()) {
	ctx, cancel := context.WithCancel(ctx)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	// Caught and dropped: a reader of our output that exits must not end the cluster's
	// supervisor.
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
// anything: blanks separate words, quotes and backslashes protect them.
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
