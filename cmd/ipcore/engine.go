package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/ipcore/ipcore/core/engine"
)

// engineOptions are the arguments of upstream's ipengine, and our own.
type engineOptions struct {
	place
	verbosity
	file    string
	timeout seconds
	wait    seconds
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

// engineTraits are the configuration names that are options here.
var engineTraits = map[string]string{
	"IPEngine.url_file": "file", "IPEngine.timeout": "timeout", "IPEngine.wait_for_url_file": "wait", "IPEngine.id": "id",
	"IPEngine.use_mpi": "mpi", "IPEngine.startup_command": "c", "IPEngine.startup_script": "s", "IPEngine.max_heartbeat_misses": "misses",
	"IPEngine.cluster_id": "cluster-id", "IPEngine.log_level": "log-level", "IPEngine.work_dir": "work-dir",
	"Session.session": "ident", "ProfileDir.location": "profile-dir", "BaseIPythonApplication.profile": "profile",
	"BaseParallelApplication.cluster_id": "cluster-id", "Application.log_level": "log-level",
}

func newEngine(a *app) *command {
	o := &engineOptions{}
	c := &command{
		name:  "engine",
		args:  "[options]",
		short: "run one engine in the foreground",
		long: `Run one engine: it registers with the controller and runs the code that clients send, in a
Python of its own. It finds the controller through $IPP_CONNECTION_INFO, --file, or the
profile's engine file, for which it waits a while. It takes the arguments of Python's
ipengine; --Class.trait=value forms that it does not know have no effect.`,
		example: `ipcore engine
			ipcore engine --profile=cluster --python=/opt/python/bin/python3
			ipcore engine --file=/shared/ipcontroller-engine.json`,
		flags:  newFlags("engine"),
		traits: engineTraits,
	}
	fs := c.flags
	o.place.flags(fs)
	fs.StringVar(&o.file, "file", "", "the controller's engine `FILE`")
	fs.StringVar(&o.python, "python", "", "`PROGRAM` that is the engine's Python (default $IPCORE_PYTHON, an active environment's, python3)")
	o.timeout, o.wait = seconds(5*time.Second), seconds(10*time.Second)
	fs.Var(&o.timeout, "timeout", "how long to wait for the controller's answer")
	fs.Var(&o.wait, "wait", "how long to wait for the engine file")
	fs.StringVar(&o.code, "c", "", "`CODE` to run at the start")
	fs.StringVar(&o.script, "s", "", "`FILE` with code to run at the start")
	fs.IntVar(&o.id, "id", -1, "ask for this engine `ID`")
	fs.StringVar(&o.workDir, "work-dir", "", "`DIR` to run in")
	fs.IntVar(&o.misses, "misses", 50, "heartbeats that may be missing before the engine ends; -1 is any number")
	fs.StringVar(&o.ident, "ident", "", "the engine's `UUID` (default a new one)")
	o.verbosity.flags(fs, "info")
	o.formFlag(fs)
	fs.StringVar(&o.config, "config", "", "`FILE` with settings, beside the profile's ipengine_config.json or .py")
	for _, name := range []string{"url", "ssh", "sshkey", "location", "user", "keyfile"} {
		fs.String(name, "", noEffect)
		hide(fs, name)
	}
	fs.BoolVar(&o.mpi, "mpi", false, "ask for the rank that MPI's starter gave this process as engine ID")
	fs.Bool("secure", false, "sign messages, which is done anyway")
	acceptCommon(fs)
	hide(fs, "misses", "ident", "secure")
	c.run = func(ctx context.Context, args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		if p, _, err := o.place.resolve(); err != nil {
			return err
		} else if err := a.configure(c, p.Dir, "ipengine_config", o.config); err != nil {
			return err
		}
		return o.run(ctx, a)
	}
	return c
}

func (o *engineOptions) run(ctx context.Context, a *app) error {
	p, _, err := o.place.resolve()
	if err != nil {
		return err
	}
	log, err := o.logger(a.streams, "ipengine")
	if err != nil {
		return err
	}
	options := engine.Options{
		File: o.file, Profile: p, ClusterID: o.clusterID,
		WaitForFile: time.Duration(o.wait), Timeout: time.Duration(o.timeout),
		UUID: o.ident, Python: o.python, StartupScript: o.script, StartupCommand: o.code, WorkDir: o.workDir,
		MaxHeartbeatMisses: o.misses, Log: log,
	}
	if o.file == "" {
		options.Info = os.Getenv("IPP_CONNECTION_INFO")
		os.Unsetenv("IPP_CONNECTION_INFO") // the key is not for what the engine starts
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
	if a.Terminal { // somebody sits there, and Ctrl-C means the engine
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
		return &exitError{code: engine.ExitCode(err), err: err}
	}
	return nil
}
