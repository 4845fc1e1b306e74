package cluster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/controller/arguments"
	"github.com/ipcore/ipcore/core/launch/settings"
	"github.com/ipcore/ipcore/core/profile"
	"github.com/ipcore/ipcore/sdk"
)

// defaultTimeout is how long Start waits for the controller's connection files, and then
// again for the engines to register.
const defaultTimeout = 60 * time.Second

// Options describe the cluster to start. The zero value of a field is its default.
type Options struct {
	Profile profile.Profile // required
	ID      string          // the cluster's id; "" is the cluster without a name
	Join    *string         // if set, the id of a cluster: start engines for its controller, and no controller
	N       int             // engines; 0 means the number of CPUs
	Timeout time.Duration   // for the controller, and again for the engines; 0 means a minute
	Wait    int             // the number of engines that Start waits for: 0 means all, WaitNone none

	// Names or paths of the launchers; "" means "local".
	Controller string
	Engines    string

	// Settings for the launchers, from configuration files and command lines. They may
	// contain secrets.
	Settings []settings.Setting

	// The commands of the controller and of one engine: program and arguments. Nil means
	// this executable with the argument "controller" or "engine".
	ControllerCommand []string
	EngineCommand     []string
	ControllerArgs    []string // added to the controller's command
	Python            string   // the engines' Python, for ipcore's own engine

	CleanLogs bool // remove the logs of earlier runs of the same cluster

	LogLevel string // of the controller and the engines; "" is "info"
	Log      hclog.Logger

	// Progress is called with the progress of Start, from one goroutine at a time.
	Progress func(Progress)

	view           controllerView // of the controller's engines; nil means clientView
	statusInterval time.Duration  // between two status requests for a workload; 0 means the constant statusInterval
}

// WaitNone is a value of Options.Wait: Start does not wait for engines.
const WaitNone = -1

// Progress is how far a start has come.
type Progress struct {
	Stage Stage  `json:"stage"`
	Have  int    `json:"have"` // engines registered
	N     int    `json:"n"`    // engines requested
	Note  string `json:"note,omitempty"`

	// Waiting is the launcher's status of engines that are not running yet, while engines
	// register: "484 wait: (Resources)".
	Waiting string `json:"waiting,omitempty"`
}

// Stage is a step of a start.
type Stage string

// The stages in their order. StageNote can occur at any time; it only carries a Note.
const (
	StageController Stage = "controller" // the controller is being started
	StageEngines    Stage = "engines"    // the controller is ready; engines register
	StageRunning    Stage = "running"    // the start is complete
	StageNote       Stage = "note"
)

// resolve checks o and fills in defaults.
func (o *Options) resolve() error {
	if o.Profile.Dir == "" {
		return &OptionError{"Profile", "", "must have a directory"}
	}
	if o.N < 0 {
		return &OptionError{"N", o.N, "must be at least 1"}
	}
	if o.N == 0 {
		o.N = runtime.NumCPU()
	}
	if o.Wait < WaitNone {
		return &OptionError{"Wait", o.Wait, "must be at least 0, or WaitNone"}
	}
	if o.Wait > o.N {
		return &OptionError{"Wait", o.Wait, fmt.Sprintf("must be at most the number of engines, %d", o.N)}
	}
	if o.Wait == 0 {
		o.Wait = o.N
	}
	for _, id := range []string{o.ID, o.hubID()} {
		if strings.ContainsAny(id, "/\\\x00\n") || id == "." || id == ".." {
			return &OptionError{"ID", id, "must be valid as a part of a file name"}
		}
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.Controller == "" {
		o.Controller = "local"
	}
	if o.Engines == "" {
		o.Engines = "local"
	}
	if o.LogLevel == "" {
		o.LogLevel = "info"
	}
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	if o.view == nil {
		o.view = clientView{o.Log.Named("client")}
	}
	if o.statusInterval == 0 {
		o.statusInterval = statusInterval
	}
	return nil
}

// hubID returns the cluster id in the names of the connection files, which controller and
// engines get as well. Engines that join another cluster use that cluster's id.
func (o *Options) hubID() string {
	if o.Join != nil {
		return *o.Join
	}
	return o.ID
}

// controllerCommand returns the whole command of the controller. reachable is true if
// engines may be on other machines.
func (o *Options) controllerCommand(selection *settings.Selection, reachable bool) ([]string, error) {
	command, err := commandFor(selection, "controller_cmd", o.ControllerCommand)
	if err != nil {
		return nil, err
	}
	own := len(command) == 0
	if own {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find the path of this executable: %w", err)
		}
		command = []string{self, "controller", "--log-level=" + o.LogLevel}
	}
	location := o.locationArgs(command)
	command = append(command, location...)
	args, err := commonWords(selection, "controller_args")
	if err != nil {
		return nil, err
	}
	args = append(args, o.ControllerArgs...)
	switch {
	case !reachable:
	case own:
		command = append(command, "--reachable") // the addresses of a configuration file take precedence over it
	case len(location) > 0 && !arguments.SetAddress(args):
		command = append(command, "--ip=*")
	}
	return append(command, args...), nil
}

// engineCommand returns the whole command of one engine.
func (o *Options) engineCommand(selection *settings.Selection) ([]string, error) {
	command, err := commandFor(selection, "engine_cmd", o.EngineCommand)
	if err != nil {
		return nil, err
	}
	if len(command) == 0 {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find the path of this executable: %w", err)
		}
		command = []string{self, "engine", "--log-level=" + o.LogLevel}
		if o.Python != "" {
			command = append(command, "--python="+o.Python)
		}
	}
	command = append(command, o.locationArgs(command)...)
	args, err := commonWords(selection, "engine_args")
	return append(command, args...), err
}

// commandFor returns the given command, or else the one of the common option name.
func commandFor(selection *settings.Selection, name string, given []string) ([]string, error) {
	if len(given) > 0 {
		return slices.Clone(given), nil
	}
	return commonWords(selection, name)
}

// commonWords returns the value of a common option that is a list of words.
func commonWords(selection *settings.Selection, name string) ([]string, error) {
	var words []string
	if value := selection.Common[name]; value != nil {
		if err := json.Unmarshal(value, &words); err != nil {
			return nil, fmt.Errorf("%s of launcher %q: must be a list of strings", name, selection.Executable.Name)
		}
	}
	return words, nil
}

// ownWords returns the value of the launcher's own option of a name, if it is a list of
// words. A launcher that has a common option itself adds its words to the command.
func ownWords(selection *settings.Selection, name string) []string {
	var own map[string]json.RawMessage
	var words []string
	if json.Unmarshal(selection.Options, &own) != nil || json.Unmarshal(own[name], &words) != nil {
		return nil
	}
	return words
}

// locationArgs returns the arguments that name profile and cluster, for the commands of
// ipcore and of IPython Parallel, which does not read environment variables before 8.0. For
// other commands it returns nil; they have IPP_PROFILE_DIR and IPP_CLUSTER_ID in their
// environment.
func (o *Options) locationArgs(command []string) []string {
	known := false
	for i, word := range command {
		base := filepath.Base(word)
		switch {
		case base == "ipengine" || base == "ipcontroller":
			known = true
		case i > 0 && strings.HasPrefix(word, "ipyparallel.") && command[i-1] == "-m":
			known = true
		case i == 1 && (word == "engine" || word == "controller") && strings.HasPrefix(filepath.Base(command[0]), "ipcore"):
			known = true
		}
	}
	if !known {
		return nil
	}
	return []string{"--profile-dir=" + o.Profile.Dir, "--cluster-id=" + o.hubID()}
}

// environment returns the variables that are added to the environment of each process of
// the cluster: those of ipcore, and those of the settings.
func (o *Options) environment(selection *settings.Selection, tag string) (map[string]string, error) {
	env := map[string]string{"IPP_CLUSTER_ID": o.hubID(), "IPP_PROFILE_DIR": o.Profile.Dir, sdk.EnvTag: tag}
	var more map[string]any
	if value := selection.Common["environment"]; value != nil {
		d := json.NewDecoder(bytes.NewReader(value))
		d.UseNumber()
		if err := d.Decode(&more); err != nil {
			return nil, fmt.Errorf("environment of launcher %q: %w", selection.Executable.Name, err)
		}
	}
	for name, value := range more {
		switch value.(type) {
		case string, json.Number:
			env[name] = fmt.Sprint(value)
		default:
			return nil, fmt.Errorf("environment of launcher %q: %s must be a string or a number", selection.Executable.Name, name)
		}
	}
	return env, nil
}

// workDir returns the folder in which processes have to run, or "" if the settings do not
// name one.
func workDir(selection *settings.Selection) string {
	var dir string
	if value := selection.Common["work_dir"]; value != nil {
		_ = json.Unmarshal(value, &dir) // Configure has checked the type
	}
	return dir
}
