package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/ipcore/ipcore/cmd/ipcore/internal/cli"
	"github.com/ipcore/ipcore/cmd/ipcore/internal/traits"
	"github.com/ipcore/ipcore/core/controller"
	"github.com/ipcore/ipcore/core/controller/scheduler"
)

// controllerOptions are the options of IPython Parallel's ipcontroller, and our own.
type controllerOptions struct {
	cli.ClusterOptions
	ip           string
	location     string
	port         int
	ports        string
	enginePorts  string
	clientPorts  string
	ssh          string
	engineSSH    string
	ping         int
	misses       int
	registration cli.Seconds
	scheme       string
	hwm          int
	depth        int
	dictDB       bool
	noDB         bool
	sqliteDB     bool
	mongoDB      bool
	dbClass      string
	databases    controller.DBOptions
	sqliteTable  string
	mongoName    string
	mongoArgs    string
	reuse        bool
	restore      bool
	metricsPort  string
	keyFile      string
	workDir      string
	transport    string
	noSecure     bool
	encryption   controller.Encryption
	curvePublic  string
	curveSecret  string
	clientIP     string
	engineIP     string
	key          traits.Bytes
	signature    string
	packer       string
	config       string
	python       string
	reachable    bool
}

// controllerTraits are the names of configuration that have a flag here.
var controllerTraits = traits.Table{
	"IPController.ip": "ip", "IPController.location": "location", "IPController.ports": "ports",
	"IPController.engine_ports": "engine-ports", "IPController.client_ports": "client-ports",
	"IPController.regport": "port", "IPController.transport": "transport",
	"IPController.ssh_server": "ssh", "IPController.engine_ssh_server": "enginessh",
	"IPController.reuse_files": "reuse", "IPController.restore_engines": "restore", "IPController.use_threads": "usethreads",
	"IPController.broadcast_scheduler_depth": "broadcast-depth", "IPController.registration_timeout": "registration-timeout",
	"IPController.enable_curve": "curve", "IPController.curve_publickey": "curve-publickey", "IPController.curve_secretkey": "curve-secretkey",
	"IPController.cluster_id": "cluster-id", "IPController.log_level": "log-level", "IPController.work_dir": "work-dir",
	"IPController.client_ip": "client-ip", "IPController.engine_ip": "engine-ip",
	"Session.key": "key", "Session.signature_scheme": "signature-scheme", "Session.packer": "packer", "Session.unpacker": "packer",
	"HeartMonitor.period": "ping", "HeartMonitor.max_heartmonitor_misses": "misses",
	"TaskScheduler.scheme_name": "scheme", "TaskScheduler.hwm": "hwm",
	"IPController.db_class": "db-class", "HubFactory.db_class": "db-class",
	"DictDB.record_limit": "dictdb-records", "DictDB.size_limit": "dictdb-bytes", "DictDB.cull_fraction": "dictdb-cull",
	"SQLiteDB.filename": "sqlitedb-file", "SQLiteDB.location": "sqlitedb-location", "SQLiteDB.table": "sqlitedb-table",
	"MongoDB.database": "mongodb-database", "MongoDB.connection_args": "mongodb-args",
	"Session.keyfile": "keyfile", "ProfileDir.location": "profile-dir", "BaseIPythonApplication.profile": "profile",
	"BaseParallelApplication.cluster_id": "cluster-id", "Application.log_level": "log-level",
}

func newController(a *cli.App) *cli.Command { return new(controllerOptions).command(a) }

func (o *controllerOptions) command(a *cli.App) *cli.Command {
	c := cli.NewCommand(&cobra.Command{
		Use:   "controller [options]",
		Short: "run a controller in the foreground",
		Long: `Run the controller: the one process between clients and engines. It writes the two
connection files into the profile's security folder and runs until SIGINT or SIGTERM.
It accepts the options of IPython Parallel's ipcontroller; unknown ones of the form
--Class.trait=value have no effect.`,
		Example: `ipcore controller
			ipcore controller --ip='*' --location=node1.example.org
			ipcore controller --profile-dir=/scratch/p --cluster-id=night --ping=250`,
		Args:              cli.NoArguments,
		ValidArgsFunction: cli.NoCompletion,
	})
	c.Traits = controllerTraits
	o.Target.AddFlags(c)
	o.addListenFlags(c)
	o.addTaskFlags(c)
	o.addDatabaseFlags(c)
	o.addSecurityFlags(c)
	o.addOtherFlags(c)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		p, _, err := o.Resolve()
		if err != nil {
			return err
		}
		if err := a.ReadConfig(c, p.Dir, "ipcontroller_config", o.config); err != nil {
			return err
		}
		fs := c.Flags()
		if o.reachable && !fs.Changed("ip") && !fs.Changed("engine-ip") && !fs.Changed("client-ip") {
			o.ip = "*"
		}
		return o.run(cmd.Context(), a)
	}
	return c
}

// addListenFlags adds the flags for addresses and ports.
func (o *controllerOptions) addListenFlags(c *cli.Command) {
	fs := c.Flags()
	fs.StringVar(&o.ip, "ip", "127.0.0.1", "`ADDRESS` to listen on; * is every address")
	fs.StringVar(&o.location, "location", "", "`HOST` by which others reach this machine (default its host name)")
	fs.StringVar(&o.ports, "ports", "", "`PORTS` to use, in order: 10101-10120,10130 (default any free ones)")
	fs.StringVar(&o.enginePorts, "engine-ports", "", "`PORTS` for connections of engines")
	fs.StringVar(&o.clientPorts, "client-ports", "", "`PORTS` for connections of clients")
	fs.StringVar(&o.ssh, "ssh", "", "ssh `SERVER` through which clients connect")
	fs.StringVar(&o.engineSSH, "enginessh", "", "ssh `SERVER` through which engines connect")
	fs.StringVar(&o.metricsPort, "metrics-port", "0", "loopback `PORT` for metrics, health and profiles by HTTP; auto for any free one, 0 for none")
	fs.IntVar(&o.port, "port", 0, "`PORT` for registration")
	fs.StringVar(&o.transport, "transport", "tcp", "tcp")
	fs.StringVar(&o.clientIP, "client-ip", "", "`ADDRESS` for connections of clients")
	fs.StringVar(&o.engineIP, "engine-ip", "", "`ADDRESS` for connections of engines")
	fs.BoolVar(&o.reachable, "reachable", false, "listen on every address, unless another option says where to listen")
	c.Complete("metrics-port", cli.Choices("auto"))
	c.Hide("port", "transport", "client-ip", "engine-ip", "reachable")
}

// addTaskFlags adds the flags for engines and the task queue.
func (o *controllerOptions) addTaskFlags(c *cli.Command) {
	fs := c.Flags()
	fs.IntVar(&o.ping, "ping", 3000, "`MILLISECONDS` between two heartbeats")
	fs.IntVar(&o.misses, "misses", 10, "how many heartbeats an engine may miss")
	fs.Var(&o.registration, "registration-timeout", "how long an engine may take to register")
	fs.StringVar(&o.scheme, "scheme", "leastload", "`SCHEME` by which engines are chosen for tasks: leastload, lru, plainrandom, twobin, weighted or pure")
	fs.IntVar(&o.hwm, "hwm", 1, "how many `TASKS` an engine may hold; 0 is any number")
	fs.IntVar(&o.depth, "broadcast-depth", 1, "depth of the broadcast tree")
	fs.BoolVar(&o.dictDB, "dictdb", false, "keep task records in memory (default)")
	fs.BoolVar(&o.sqliteDB, "sqlitedb", false, "keep task records in tasks.db in the profile")
	fs.BoolVar(&o.mongoDB, "mongodb", false, "keep task records on a MongoDB server")
	fs.BoolVar(&o.noDB, "nodb", false, "keep no task records")
	c.Complete("scheme", cli.Choices("leastload", "lru", "plainrandom", "twobin", "weighted", "pure"))
	c.Hide("misses", "registration-timeout", "broadcast-depth")
}

// addSecurityFlags adds the flags for keys, encryption and the form of messages.
func (o *controllerOptions) addSecurityFlags(c *cli.Command) {
	fs := c.Flags()
	fs.StringVar(&o.keyFile, "keyfile", "", "`FILE` with the key that signs messages")
	fs.BoolFunc("curve", "encrypt connections (default when other machines can connect)", o.encrypt(controller.EncryptAlways, controller.EncryptNever))
	fs.BoolFunc("no-curve", "do not encrypt connections", o.encrypt(controller.EncryptNever, controller.EncryptAlways))
	fs.StringVar(&o.curvePublic, "curve-publickey", "", "the controller's public `KEY` (default $IPP_CURVE_PUBLICKEY)")
	fs.StringVar(&o.curveSecret, "curve-secretkey", "", "the controller's secret `KEY` (default $IPP_CURVE_SECRETKEY, which other users can't see)")
	fs.Var(&o.key, "key", "the key that signs messages; other users can see it in the list of processes")
	fs.StringVar(&o.signature, "signature-scheme", "", "how messages are signed: hmac-sha256")
	fs.StringVar(&o.packer, "packer", "json", "how messages are packed: json or msgpack")
	fs.Bool("secure", false, "sign messages, which is always done")
	fs.BoolVar(&o.noSecure, "no-secure", false, "refused")
	c.Hide("curve-publickey", "curve-secretkey", "key", "signature-scheme", "packer", "secure", "no-secure")
}

// addOtherFlags adds the flags for files, logs and restarts, and those without effect.
func (o *controllerOptions) addOtherFlags(c *cli.Command) {
	fs := c.Flags()
	fs.BoolVar(&o.reuse, "reuse", false, "take ports and key from existing connection files, and keep the files at the end")
	fs.BoolVar(&o.restore, "restore", false, "as --reuse, and take over the engines of the previous controller")
	fs.StringVar(&o.workDir, "work-dir", "", "`DIR` to run in")
	o.LogOptions.AddFlags(c, "info")
	o.AddFormFlag(c)
	fs.StringVar(&o.config, "config", "", "`FILE` with settings, in addition to the profile's ipcontroller_config.json or .py")
	fs.StringVar(&o.python, "python", "", "`PROGRAM` to use as Python for Dask's scheduler (default $IPCORE_PYTHON, an active environment's, python3)")
	fs.Bool("usethreads", false, cli.NoEffect)
	for _, name := range []string{"ident", "user"} {
		fs.String(name, "", cli.NoEffect)
	}
	acceptCommon(c)
	c.Hide("usethreads", "ident", "user")
}

// options returns the controller's options for the flags.
func (o *controllerOptions) options(a *cli.App) (controller.Options, error) {
	p, _, err := o.Resolve()
	if err != nil {
		return controller.Options{}, err
	}
	log, err := o.Logger(a.Streams, "ipcontroller")
	if err != nil {
		return controller.Options{}, err
	}
	switch {
	case o.noSecure:
		return controller.Options{}, cli.UsageError("--no-secure: messages are always signed here", "leave it out")
	case o.ping <= 0:
		return controller.Options{}, cli.UsageError(fmt.Sprintf("--ping: must be at least 1 ms, got %d", o.ping), "")
	case o.hwm < 0:
		return controller.Options{}, cli.UsageError(fmt.Sprintf("--hwm: must be at least 0, got %d", o.hwm), "0 is any number")
	}
	if o.transport != "tcp" {
		a.Errf("warning: --transport=%s is not known here; it is tcp\n", o.transport)
	}
	options := controller.Options{
		Profile: p, ClusterID: o.ClusterID, IP: o.ip, Location: o.location,
		Scheme: o.scheme, HWM: o.hwm, HeartbeatPeriod: time.Duration(o.ping) * time.Millisecond, MaxMisses: o.misses,
		RegistrationTimeout: time.Duration(o.registration), BroadcastDepth: o.depth, DB: o.database(),
		Encryption: o.encryption, CurvePublicKey: o.curvePublic, CurveSecretKey: o.curveSecret,
		KeyFile: o.keyFile, Reuse: o.reuse, Restore: o.restore, ClientIP: o.clientIP, EngineIP: o.engineIP,
		Key: string(o.key), SignatureScheme: o.signature, Packer: o.packer, Python: o.python, SSHServer: o.ssh, EngineSSHServer: o.engineSSH, Log: log,
	}
	if options.DBOptions, err = o.databaseOptions(); err != nil {
		return options, err
	}
	if options.MetricsPort, err = parseMetricsPort(o.metricsPort); err != nil {
		return options, err
	}
	if o.hwm == 0 {
		options.HWM = scheduler.Unlimited
	}
	if o.depth == 0 {
		options.BroadcastDepth = controller.NoTree
	}
	for _, pool := range []struct {
		flag, text string
		ports      *[]int
	}{{"ports", o.ports, &options.Ports}, {"engine-ports", o.enginePorts, &options.EnginePorts}, {"client-ports", o.clientPorts, &options.ClientPorts}} {
		if *pool.ports, err = parsePorts(pool.text); err != nil {
			return options, cli.UsageError("--"+pool.flag+": "+err.Error(), "use a list like 10101-10120,10130")
		}
	}
	if o.port != 0 { // registration gets the first port
		options.Ports = append([]int{o.port}, options.Ports...)
	}
	return options, nil
}

// encrypt returns the setter of a switch: true chooses yes, false chooses no.
func (o *controllerOptions) encrypt(yes, no controller.Encryption) func(string) error {
	return func(value string) error {
		on, err := strconv.ParseBool(value)
		if o.encryption = no; on {
			o.encryption = yes
		}
		return err
	}
}

func (o *controllerOptions) run(ctx context.Context, a *cli.App) error {
	options, err := o.options(a)
	if err != nil {
		return err
	}
	if o.workDir != "" {
		if err := os.Chdir(o.workDir); err != nil {
			return fmt.Errorf("--work-dir: %w", err)
		}
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGABRT)
	defer stop()
	return controller.Run(ctx, options)
}

// parseMetricsPort returns the port of a number or "auto".
func parseMetricsPort(text string) (int, error) {
	if text == "auto" {
		return controller.AnyPort, nil
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0, cli.UsageError(fmt.Sprintf("--metrics-port: %q is not a port", text), "use a number, auto for any free port, or 0 for none")
	}
	return int(port), nil
}

// parsePorts returns the ports of "10101-10120,10130", which may be in brackets like a
// list of Python.
func parsePorts(text string) ([]int, error) {
	text = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(text), "["), "]")
	if text == "" {
		return nil, nil
	}
	var ports []int
	for part := range strings.SplitSeq(text, ",") {
		first, last, isRange := strings.Cut(strings.TrimSpace(part), "-")
		from, err := strconv.ParseUint(strings.TrimSpace(first), 10, 16)
		to := from
		if err == nil && isRange {
			to, err = strconv.ParseUint(strings.TrimSpace(last), 10, 16)
		}
		if err != nil || to < from || from == 0 {
			return nil, fmt.Errorf("%q is not a port or range of ports", part)
		}
		for port := from; port <= to; port++ {
			ports = append(ports, int(port))
		}
	}
	return ports, nil
}
