package ssh

import (
	"encoding/json"
	"fmt"
	"runtime"
	"time"

	"github.com/ipcore/ipcore/sdk"
)

// Main is the program ipcore-launcher-ssh. It does not return.
func Main() { sdk.Serve(Info(), New) }

// ProxyMain is the program ipcore-launcher-sshproxy. It does not return.
func ProxyMain() { sdk.Serve(ProxyInfo(), NewProxy) }

// Info describes the launcher ssh.
func Info() sdk.Info {
	set := []sdk.Kind{sdk.Engine}
	return sdk.Info{
		Name: "ssh", Remote: true, PrivateEnv: true,
		Kinds: []sdk.Kind{sdk.Controller, sdk.Engine, sdk.SingleEngine},
		Classes: map[sdk.Kind][]string{
			sdk.Controller:   {"SSHControllerLauncher", "SSHLauncher", "ControllerLauncher", "BaseLauncher"},
			sdk.Engine:       {"SSHEngineSetLauncher", "SSHEngineLauncher", "SSHLauncher", "EngineLauncher", "BaseLauncher"},
			sdk.SingleEngine: {"SSHEngineLauncher", "SSHLauncher", "EngineLauncher", "BaseLauncher"},
		},
		Options: append(commonOptions(), sdk.Option{
			Name: "engines", Type: sdk.TypeMap, Kinds: set,
			Help: `how many engines on which host: {"host": 2, "user@host:port": [2, ["--log-level=debug"]], "host": {"n": 2, "engine_args": […], "remote_python": …}}`,
		}, sdk.Option{
			Name: "engine_args", Type: sdk.TypeList, Kinds: []sdk.Kind{sdk.Engine, sdk.SingleEngine},
			Help: "arguments of engines, after those that they have, where engines says nothing else",
		}, sdk.Option{
			Name: "controller_args", Type: sdk.TypeList, Kinds: []sdk.Kind{sdk.Controller},
			Help: "arguments of the controller, after those that it has",
		}),
	}
}

// ProxyInfo describes the launcher sshproxy.
func ProxyInfo() sdk.Info {
	return sdk.Info{
		Name: "sshproxy", Remote: true,
		Kinds: []sdk.Kind{sdk.Engine},
		Classes: map[sdk.Kind][]string{
			sdk.Engine: {"SSHProxyEngineSetLauncher", "SSHLauncher", "EngineLauncher", "BaseLauncher"},
		},
		Options: append(commonOptions(), sdk.Option{
			Name: "ipcluster_cmd", Type: sdk.TypeList,
			Help: `what starts engines there, before "engines -n N"; ipyparallel's ["ipcluster"] by default, or ["ipcore"]`,
		}, sdk.Option{
			Name: "ipcluster_args", Type: sdk.TypeList,
			Help: `arguments of it, for example ["--engines=slurm"]`,
		}),
	}
}

func commonOptions() []sdk.Option {
	text := func(s string) json.RawMessage { return json.RawMessage(s) }
	return []sdk.Option{
		{Name: "hostname", Type: sdk.TypeString, Help: "the machine, as ssh knows it"},
		{Name: "user", Type: sdk.TypeString, Help: "the user there; by default who ssh's configuration says"},
		{Name: "port", Type: sdk.TypeInt, Help: "the port of its sshd; by default what ssh's configuration says"},
		{Name: "location", Type: sdk.TypeString, Help: "user@hostname:port in one"},
		{Name: "ssh_cmd", Type: sdk.TypeList, Default: text(`["ssh"]`), Help: "the ssh program"},
		{Name: "ssh_args", Type: sdk.TypeList, Default: text(`[]`), Help: `arguments of it, for example ["-i", "/home/me/key"]; they win over what the launcher adds`},
		{Name: "scp_cmd", Type: sdk.TypeList, Default: text(`["scp"]`), Help: "the scp program, which carries to_send and to_fetch"},
		{Name: "scp_args", Type: sdk.TypeList, Default: text(`[]`), Help: "arguments of it"},
		{Name: "share_connection", Type: sdk.TypeBool, Default: text(fmt.Sprint(canShare)), Help: "let all calls of a machine share one connection (ControlMaster)"},
		{Name: "connect_timeout", Type: sdk.TypeFloat, Default: text("15"), Help: "seconds to wait for a connection"},
		{Name: "poll_seconds", Type: sdk.TypeFloat, Default: text("3"), Help: "seconds between two looks at a machine"},
		{Name: "stop_seconds_until_kill", Type: sdk.TypeFloat, Default: text("5"), Help: "seconds between SIGTERM and SIGKILL when stopping"},
		{Name: "remote_profile_dir", Type: sdk.TypeString, Help: "the profile's folder there, absolute or below the home folder; by default as here"},
		{Name: "remote_python", Type: sdk.TypeString, Help: "the Python of engines there"},
		{Name: "remote_ipcore", Type: sdk.TypeString, Help: "the ipcore program there; by default the path that it has here"},
		{Name: "copy_binary", Type: sdk.TypeBool, Default: text("false"), Help: "copy this machine's ipcore to ~/.cache/ipcore there and use that"},
		{Name: "send_connection_files", Type: sdk.TypeBool, Default: text("true"), Help: "put the controller's engine file into the profile there"},
		{Name: "tunnel", Type: sdk.TypeBool, Default: text("false"), Help: "carry the controller's connections through ssh, for machines that reach each other in no other way"},
		{Name: "to_send", Type: sdk.TypeList, Default: text(`[]`), Help: `files to send before the start: [["here", "there"], …]`},
		{Name: "to_fetch", Type: sdk.TypeList, Default: text(`[]`), Help: `files to fetch when the controller is ready, or engines have started: [["there", "here"], …]`},
		{Name: "environment", Type: sdk.TypeMap, Help: "variables to add to the environment there"},
	}
}

// canShare reports whether the ssh of this system can share connections.
const canShare = runtime.GOOS != "windows"

// options are the launchers' own options.
type options struct {
	target
	Engines     hostList `json:"engines"`
	ClusterCmd  []string `json:"ipcluster_cmd"`
	ClusterArgs []string `json:"ipcluster_args"`
}

// target is the options that can be different for each host of engines.
type target struct {
	Hostname  string            `json:"hostname"`
	User      string            `json:"user"`
	Port      int               `json:"port"`
	Location  string            `json:"location"`
	SSH       []string          `json:"ssh_cmd"`
	SSHArgs   []string          `json:"ssh_args"`
	SCP       []string          `json:"scp_cmd"`
	SCPArgs   []string          `json:"scp_args"`
	Share     *bool             `json:"share_connection"`
	Connect   float64           `json:"connect_timeout"`
	Poll      float64           `json:"poll_seconds"`
	Grace     *float64          `json:"stop_seconds_until_kill"`
	Profile   string            `json:"remote_profile_dir"`
	Python    string            `json:"remote_python"`
	Ipcore    string            `json:"remote_ipcore"`
	Copy      bool              `json:"copy_binary"`
	SendFiles *bool             `json:"send_connection_files"`
	Tunnel    bool              `json:"tunnel"`
	ToSend    [][2]string       `json:"to_send"`
	ToFetch   [][2]string       `json:"to_fetch"`
	Env       map[string]string `json:"environment"`

	EngineArgs     []string `json:"engine_args"`
	EngineCmd      []string `json:"engine_cmd"` // of a host of engines only
	ControllerArgs []string `json:"controller_args"`
}

// readOptions reads and checks the options of a request.
func readOptions(r sdk.StartRequest) (options, error) {
	var o options
	if err := r.DecodeOptions(&o); err != nil {
		return o, err
	}
	return o, o.check()
}

// check sets defaults and validates the options.
func (t *target) check() error {
	if len(t.SSH) == 0 {
		t.SSH = []string{"ssh"}
	}
	if len(t.SCP) == 0 {
		t.SCP = []string{"scp"}
	}
	if t.Share == nil {
		t.Share = new(canShare)
	}
	if t.SendFiles == nil {
		t.SendFiles = new(true)
	}
	if t.Grace == nil {
		t.Grace = new(5.0)
	}
	if t.Connect == 0 {
		t.Connect = 15
	}
	if t.Poll == 0 {
		t.Poll = 3
	}
	const limit = 3600
	for name, v := range map[string]float64{"connect_timeout": t.Connect, "poll_seconds": t.Poll, "stop_seconds_until_kill": *t.Grace} {
		if !(v > 0 && v <= limit) {
			return fmt.Errorf("%w: %s is %v, want more than 0 and at most %d", sdk.ErrBadOption, name, v, limit)
		}
	}
	for name := range t.Env {
		if !goodName(name) {
			return fmt.Errorf("%w: environment: %q is not a valid variable name", sdk.ErrBadOption, name)
		}
	}
	return nil
}

// seconds converts an option's value to a duration.
func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// New returns the launcher of one controller, one engine or a set of engines.
func New(kind sdk.Kind, host sdk.Host) sdk.Launcher {
	l := newLauncher(kind, host, false)
	if kind == sdk.Controller {
		return controller{l}
	}
	return l
}

// NewProxy returns the launcher of a set of engines that a remote ipcluster starts.
func NewProxy(kind sdk.Kind, host sdk.Host) sdk.Launcher { return newLauncher(kind, host, true) }
