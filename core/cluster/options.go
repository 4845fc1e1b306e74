package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/profile"
)

// defaultTimeout is how long Start waits for the controller's files, and then
// for the engines to register.
const defaultTimeout = 60 * time.Second

// Options say what to start. The zero value of a field is its default.
type Options struct {
	Profile profile.Profile // required
	ID      string          // the cluster's id; "" is the cluster without a name
	N       int             // engines; 0 means the number of CPUs
	Timeout time.Duration   // for each of controller and engines; 0 means a minute

	// Names, or paths, of the launchers; "" means "local".
	Controller string
	Engines    string

	// The commands of one controller and one engine: program and arguments. Nil
	// means this program's own.
	ControllerCommand []string
	EngineCommand     []string
	ControllerArgs    []string // added to the controller's command
	Python            string   // the engines' Python, for our own engine

	CleanLogs bool // remove the logs of earlier runs of the same cluster

	LogLevel string // of the controller and the engines; "" is "info"
	Log      hclog.Logger

	// Progress is told how Start goes on, from one goroutine at a time.
	Progress func(Progress)

	register registration // nil: through a client of our own
}

// Progress is how far a start has come.
type Progress struct {
	Stage Stage  `json:"stage"`
	Have  int    `json:"have"` // engines registered
	N     int    `json:"n"`    // engines asked for
	Note  string `json:"note,omitempty"`
}

// Stage is a step of a start.
type Stage string

// The stages in their order. StageNote only brings a Note, at any time.
const (
	StageController Stage = "controller" // the controller was asked for
	StageEngines    Stage = "engines"    // the controller is ready; engines register
	StageRunning    Stage = "running"    // the start is complete
	StageNote       Stage = "note"
)

// resolve checks o and fills in defaults.
func (o *Options) resolve() error {
	if o.Profile.Dir == "" {
		return errors.New("no profile directory given")
	}
	if o.N < 0 {
		return fmt.Errorf("-n: %d engines make no sense", o.N)
	}
	if o.N == 0 {
		o.N = runtime.NumCPU()
	}
	if strings.ContainsAny(o.ID, "/\\\x00\n") || o.ID == "." || o.ID == ".." {
		return fmt.Errorf("--cluster-id: %q can't be part of a file name", o.ID)
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
	if o.register == nil {
		o.register = registerByClient(o.Log.Named("client"))
	}
	return nil
}

// controllerCommand answers the whole command of the controller.
func (o *Options) controllerCommand() ([]string, error) {
	command := append([]string(nil), o.ControllerCommand...)
	if len(command) == 0 {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find this program's own file: %w", err)
		}
		command = []string{self, "controller", "--log-level=" + o.LogLevel}
	}
	command = append(command, o.placeArgs(command)...)
	return append(command, o.ControllerArgs...), nil
}

// engineCommand answers the whole command of one engine.
func (o *Options) engineCommand() ([]string, error) {
	command := append([]string(nil), o.EngineCommand...)
	if len(command) == 0 {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find this program's own file: %w", err)
		}
		command = []string{self, "engine", "--log-level=" + o.LogLevel}
		if o.Python != "" {
			command = append(command, "--python="+o.Python)
		}
	}
	return append(command, o.placeArgs(command)...), nil
}

// placeArgs answers the arguments that name profile and cluster. Python's
// programs before 8.0 read no environment variables, so every command that is
// theirs or ours gets them; of a stranger's command nothing is known, and it
// has IPP_PROFILE_DIR and IPP_CLUSTER_ID in its environment.
func (o *Options) placeArgs(command []string) []string {
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
	return []string{"--profile-dir=" + o.Profile.Dir, "--cluster-id=" + o.ID}
}

// keepsFiles tells whether the controller leaves its connection files behind,
// to take them up again at its next start.
func (o *Options) keepsFiles() bool {
	for _, arg := range append(slices.Clone(o.ControllerCommand), o.ControllerArgs...) {
		name, value, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		switch name {
		case "reuse", "restore", "IPController.reuse_files", "IPController.restore_engines":
			return !strings.EqualFold(value, "false")
		}
	}
	return false
}

// environment answers what every process of the cluster finds in its
// environment beside what this process has.
func (o *Options) environment() map[string]string {
	return map[string]string{"IPP_CLUSTER_ID": o.ID, "IPP_PROFILE_DIR": o.Profile.Dir}
}
