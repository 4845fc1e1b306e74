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

	"github.com/ipcore/ipcore/core/controller"
	"github.com/ipcore/ipcore/core/controller/scheduler"
)

// controllerOptions are the arguments of upstream's ipcontroller.
type controllerOptions struct {
	place
	verbosity
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
	registration seconds
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
	key          bytesFlag
	signature    string
	packer       string
	config       string
	python       string
	reachable    bool
}

// controllerTraits are the configuration names that are options here.
var controllerTraits = map[string]string{
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

func newController(a *app) *command { return new(controllerOptions).command(a) }

func (o *controllerOptions) command(a *app) *command {
	c := &command{
		name:  "controller",
		args:  "[options]",
		short: "run a controller in the foreground",
		long: `Run the controller: the one process between clients and engines. It writes the two
connection files into the profile's security folder and runs until SIGINT or SIGTERM.
It takes the arguments of Python's ipcontroller; --Class.trait=value forms that it does
not know have no effect.`,
		example: `ipcore controller
			ipcore controller --ip='*' --location=node1.example.org
			ipcore controller --profile-dir=/scratch/p --cluster-id=night --ping=250`,
		flags:  newFlags("controller"),
		traits: controllerTraits,
	}
	fs := c.flags
	o.place.flags(fs)
	fs.StringVar(&o.ip, "ip", "127.0.0.1", "`ADDRESS` to listen on; * is every address")
	fs.StringVar(&o.location, "location", "", "`HOST` by which others reach this machine (default its host name)")
	fs.StringVar(&o.ports, "ports", "", "`PORTS` to take, in order: 10101-10120,10130 (default any free ones)")
	fs.StringVar(&o.enginePorts, "engine-ports", "", "`PORTS` for what engines connect to")
	fs.StringVar(&o.clientPorts, "client-ports", "", "`PORTS` for what clients connect to")
	fs.StringVar(&o.ssh, "ssh", "", "ssh `SERVER` through which clients connect")
	fs.StringVar(&o.engineSSH, "enginessh", "", "ssh `SERVER` through which engines connect")
	fs.IntVar(&o.ping, "ping", 3000, "`MILLISECONDS` between two heartbeats")
	fs.StringVar(&o.scheme, "scheme", "leastload", "`WAY` to choose who gets a task: leastload, lru, plainrandom, twobin, weighted or pure")
	fs.IntVar(&o.hwm, "hwm", 1, "`TASKS` that an engine may hold; 0 is any number")
	fs.BoolVar(&o.dictDB, "dictdb", false, "keep task records in memory (default)")
	fs.BoolVar(&o.sqliteDB, "sqlitedb", false, "keep task records in tasks.db in the profile")
	fs.BoolVar(&o.mongoDB, "mongodb", false, "keep task records on a MongoDB server")
	fs.BoolVar(&o.noDB, "nodb", false, "keep no task records")
	fs.BoolVar(&o.reuse, "reuse", false, "take ports and key from connection files that are there, and keep the files")
	fs.BoolVar(&o.restore, "restore", false, "as --reuse, and take over the engines of the controller before")
	fs.StringVar(&o.metricsPort, "metrics-port", "0", "loopback `PORT` for metrics, health and profiles by HTTP; auto takes any, 0 none")
	fs.StringVar(&o.keyFile, "keyfile", "", "`FILE` with the key that signs messages")
	fs.BoolFunc("curve", "encrypt connections (default when other machines can connect)", o.encrypt(controller.EncryptAlways, controller.EncryptNever))
	fs.BoolFunc("no-curve", "do not encrypt connections", o.encrypt(controller.EncryptNever, controller.EncryptAlways))
	fs.StringVar(&o.workDir, "work-dir", "", "`DIR` to run in")
	o.verbosity.flags(fs, "info")
	o.formFlag(fs)
	fs.IntVar(&o.port, "port", 0, "`PORT` for registration")
	fs.IntVar(&o.misses, "misses", 10, "heartbeats an engine may miss")
	fs.Var(&o.registration, "registration-timeout", "how long an engine may take to register")
	fs.IntVar(&o.depth, "broadcast-depth", 1, "depth of the broadcast tree")
	fs.StringVar(&o.transport, "transport", "tcp", "tcp")
	fs.BoolVar(&o.noSecure, "no-secure", false, "refused")
	fs.StringVar(&o.curvePublic, "curve-publickey", "", "the controller's public `KEY` (default $IPP_CURVE_PUBLICKEY)")
	fs.StringVar(&o.curveSecret, "curve-secretkey", "", "the controller's secret `KEY` (default $IPP_CURVE_SECRETKEY, which others do not see)")
	fs.StringVar(&o.config, "config", "", "`FILE` with settings, beside the profile's ipcontroller_config.json or .py")
	fs.StringVar(&o.python, "python", "", "`PROGRAM` for what needs a Python here, which is Dask's scheduler (default $IPCORE_PYTHON, an active environment's, python3)")
	fs.StringVar(&o.clientIP, "client-ip", "", "`ADDRESS` for what clients connect to")
	fs.StringVar(&o.engineIP, "engine-ip", "", "`ADDRESS` for what engines connect to")
	fs.Var(&o.key, "key", "the key that signs messages; others see it in the list of processes")
	fs.StringVar(&o.signature, "signature-scheme", "", "how messages are signed: hmac-sha256")
	fs.StringVar(&o.packer, "packer", "json", "how messages are packed: json or msgpack")
	fs.BoolVar(&o.reachable, "reachable", false, "listen on every address, unless something says where to listen")
	hide(fs, "client-ip", "engine-ip", "key", "signature-scheme", "packer", "reachable")
	fs.Bool("usethreads", false, noEffect)
	fs.Bool("secure", false, "sign messages, which is done anyway")
	for _, name := range []string{"ident", "user"} {
		fs.String(name, "", noEffect)
	}
	acceptCommon(fs)
	o.databaseFlags(fs)
	hide(fs, "port", "misses", "registration-timeout", "broadcast-depth", "transport", "no-secure", "curve-publickey", "curve-secretkey", "usethreads", "secure", "ident", "user")
	c.run = func(ctx context.Context, args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		if p, _, err := o.place.resolve(); err != nil {
			return err
		} else if err := a.configure(c, p.Dir, "ipcontroller_config", o.config); err != nil {
			return err
		}
		if o.reachable && !fs.Changed("ip") && !fs.Changed("engine-ip") && !fs.Changed("client-ip") {
			o.ip = "*"
		}
		return o.run(ctx, a)
	}
	return c
}

// options makes the controller's options of the flags.
func (o *controllerOptions) options(a *app) (controller.Options, error) {
	p, _, err := o.place.resolve()
	if err != nil {
		return controller.Options{}, err
	}
	log, err := o.logger(a.streams, "ipcontroller")
	if err != nil {
		return controller.Options{}, err
	}
	switch {
	case o.noSecure:
		return controller.Options{}, &usageError{text: "--no-secure: messages are always signed here", hint: "leave it out"}
	case o.ping <= 0:
		return controller.Options{}, &usageError{text: fmt.Sprintf("--ping: %d is no number of milliseconds", o.ping)}
	case o.hwm < 0:
		return controller.Options{}, &usageError{text: fmt.Sprintf("--hwm: %d tasks make no sense", o.hwm), hint: "0 is any number"}
	}
	if o.transport != "tcp" {
		a.errf("warning: --transport=%s is not known here; it is tcp\n", o.transport)
	}
	options := controller.Options{
		Profile: p, ClusterID: o.clusterID, IP: o.ip, Location: o.location,
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
			return options, &usageError{text: "--" + pool.flag + ": " + err.Error(), hint: "use a list like 10101-10120,10130"}
		}
	}
	if o.port != 0 { // registration is the first to be given a port
		options.Ports = append([]int{o.port}, options.Ports...)
	}
	return options, nil
}

// encrypt answers what sets the choice that a flag's value stands for.
func (o *controllerOptions) encrypt(yes, no controller.Encryption) func(string) error {
	return func(value string) error {
		on, err := strconv.ParseBool(value)
		if o.encryption = no; on {
			o.encryption = yes
		}
		return err
	}
}

func (o *controllerOptions) run(ctx context.Context, a *app) error {
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

// parseMetricsPort reads a number or "auto".
func parseMetricsPort(text string) (int, error) {
	if text == "auto" {
		return controller.AnyPort, nil
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0, &usageError{text: fmt.Sprintf("--metrics-port: %q is no port", text), hint: "use a number, auto for any free port, or 0 for none"}
	}
	return int(port), nil
}

// parsePorts reads "10101-10120,10130", in brackets or not, as Python's list.
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
			return nil, fmt.Errorf("%q is no port or range of ports", part)
		}
		for port := from; port <= to; port++ {
			ports = append(ports, int(port))
		}
	}
	return ports, nil
}
