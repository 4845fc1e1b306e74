package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/ipcore/ipcore/cmd/ipcore/internal/cli"
	"github.com/ipcore/ipcore/cmd/ipcore/internal/traits"
	"github.com/ipcore/ipcore/core/engine"
)

// engineOptions are the options of IPython Parallel's ipengine, and our own.
type engineOptions struct {
	cli.ClusterOptions
	file    string
	timeout cli.Seconds
	wait    cli.Seconds
	misses  int
	code    string
	script  string
	id      int
	ident   string
	python  string
	workDir string
	config  string
	mpi     bool
}

// engineTraits are the names of configuration that have a flag here.
var engineTraits = traits.Table{
	"IPEngine.url_file": "file", "IPEngine.timeout": "timeout", "IPEngine.wait_for_url_file": "wait", "IPEngine.id": "id",
	"IPEngine.use_mpi": "mpi", "IPEngine.startup_command": "c", "IPEngine.startup_script": "s", "IPEngine.max_heartbeat_misses": "misses",
	"IPEngine.cluster_id": "cluster-id", "IPEngine.log_level": "log-level", "IPEngine.work_dir": "work-dir",
	"Session.session": "ident", "ProfileDir.location": "profile-dir", "BaseIPythonApplication.profile": "profile",
	"BaseParallelApplication.cluster_id": "cluster-id", "Application.log_level": "log-level",
}

func newEngine(a *cli.App) *cli.Command {
	o := &engineOptions{timeout: cli.Seconds(5 * time.Second), wait: cli.Seconds(10 * time.Second)}
	c := cli.NewCommand(&cobra.Command{
		Use:   "engine [options]",
		Short: "run one engine in the foreground",
		Long: `Run one engine: it registers with the controller and runs the code that clients send, in
its own Python process. It finds the controller through $IPP_CONNECTION_INFO, --file, or the
profile's engine file, for which it waits a while. It accepts the options of IPython
Parallel's ipengine; unknown ones of the form --Class.trait=value have no effect.`,
		Example: `ipcore engine
			ipcore engine --profile=cluster --python=/opt/python/bin/python3
			ipcore engine --file=/shared/ipcontroller-engine.json`,
		Args:              cli.NoArguments,
		ValidArgsFunction: cli.NoCompletion,
	})
	c.Traits = engineTraits
	fs := c.Flags()
	o.Target.AddFlags(c)
	fs.StringVar(&o.file, "file", "", "the controller's engine `FILE`")
	fs.StringVar(&o.python, "python", "", "`PROGRAM` to use as the engine's Python (default $IPCORE_PYTHON, an active environment's, python3)")
	fs.Var(&o.timeout, "timeout", "how long to wait for the controller's answer")
	fs.Var(&o.wait, "wait", "how long to wait for the engine file")
	fs.StringVar(&o.code, "c", "", "`CODE` to run at the start")
	fs.StringVar(&o.script, "s", "", "`FILE` with code to run at the start")
	fs.IntVar(&o.id, "id", -1, "ask for this engine `ID`")
	fs.StringVar(&o.workDir, "work-dir", "", "`DIR` to run in")
	fs.IntVar(&o.misses, "misses", 50, "how many heartbeats may be missed before the engine exits; -1 is any number")
	fs.StringVar(&o.ident, "ident", "", "the engine's `UUID` (default a new one)")
	o.LogOptions.AddFlags(c, "info")
	o.AddFormFlag(c)
	fs.StringVar(&o.config, "config", "", "`FILE` with settings, in addition to the profile's ipengine_config.json or .py")
	for _, name := range []string{"url", "ssh", "sshkey", "location", "user", "keyfile"} {
		fs.String(name, "", cli.NoEffect)
		c.Hide(name)
	}
	fs.BoolVar(&o.mpi, "mpi", false, "use this process's MPI rank as the engine id to ask for")
	fs.Bool("secure", false, "sign messages, which is always done")
	acceptCommon(c)
	c.Hide("misses", "ident", "secure")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		p, _, err := o.Resolve()
		if err != nil {
			return err
		}
		if err := a.ReadConfig(c, p.Dir, "ipengine_config", o.config); err != nil {
			return err
		}
		return o.run(cmd.Context(), a)
	}
	return c
}

// acceptCommon adds options of IPython Parallel's programs that have no effect here,
// so that command lines written for those programs work.
func acceptCommon(c *cli.Command) {
	fs := c.Flags()
	fs.String("log-url", "", cli.NoEffect)
	for _, name := range []string{"log-to-file", "clean-logs", "show-config", "show-config-json"} {
		fs.Bool(name, false, cli.NoEffect)
		c.Hide(name)
	}
	fs.Bool("init", false, "create the profile, which is always done")
	c.Hide("log-url", "init")
}

func (o *engineOptions) run(ctx context.Context, a *cli.App) error {
	p, _, err := o.Resolve()
	if err != nil {
		return err
	}
	log, err := o.Logger(a.Streams, "ipengine")
	if err != nil {
		return err
	}
	options := engine.Options{
		File: o.file, Profile: p, ClusterID: o.ClusterID,
		WaitForFile: time.Duration(o.wait), Timeout: time.Duration(o.timeout),
		UUID: o.ident, Python: o.python, StartupScript: o.script, StartupCommand: o.code, WorkDir: o.workDir,
		MaxHeartbeatMisses: o.misses, Log: log,
	}
	if o.file == "" {
		options.Info = os.Getenv("IPP_CONNECTION_INFO")
		os.Unsetenv("IPP_CONNECTION_INFO") // keep the key from the processes that the engine starts
	}
	options.CurveServerKey = os.Getenv("IPP_CURVE_SERVERKEY")
	os.Unsetenv("IPP_CURVE_SERVERKEY")
	if o.id >= 0 {
		options.ID = &o.id
	} else if o.mpi {
		if rank, ok := engine.Rank(os.Getenv); ok {
			options.ID = &rank
		}
	}
	ending := []os.Signal{syscall.SIGTERM, syscall.SIGHUP}
	if a.Terminal { // Ctrl-C there is meant for the engine
		ending = append(ending, os.Interrupt)
	} else {
		interrupts := make(chan os.Signal, 1)
		signal.Notify(interrupts, os.Interrupt)
		defer signal.Stop(interrupts)
		options.Interrupts = interrupts
	}
	ctx, stop := signal.NotifyContext(ctx, ending...)
	defer stop()
	if err := engine.Run(ctx, options); err != nil {
		return cli.WithExitCode(engine.ExitCode(err), err)
	}
	return nil
}
