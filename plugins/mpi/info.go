package mpi

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/process"
)

// Main is the program ipcore-launcher-mpi. It does not return.
func Main() { sdk.Serve(Info(), New) }

// Info describes the launcher.
func Info() sdk.Info {
	return sdk.Info{
		Name: "mpi", Remote: true,
		Kinds: []sdk.Kind{sdk.Controller, sdk.Engine},
		Conformance: &sdk.ConformanceHints{Skip: map[string]string{
			"engine-killed": "mpiexec reports the end of all ranks, and most MPIs end all of them with one",
		}},
		Classes: map[sdk.Kind][]string{
			sdk.Controller: {"MPIControllerLauncher", "MPILauncher", "LocalProcessLauncher", "ControllerLauncher", "BaseLauncher"},
			sdk.Engine:     {"MPIEngineSetLauncher", "MPILauncher", "LocalProcessLauncher", "EngineLauncher", "BaseLauncher"},
		},
		Options: []sdk.Option{{
			Name: "mpi_cmd", Type: sdk.TypeList, Default: json.RawMessage(`["mpiexec"]`),
			Help: "the program that starts the ranks, and arguments that come first",
		}, {
			Name: "mpi_args", Type: sdk.TypeList, Default: json.RawMessage(`[]`),
			Help: `arguments after "-n N", for example ["--hostfile", "hosts"]`,
		}, {
			Name: "mpi", Type: sdk.TypeString, Default: json.RawMessage(`"auto"`),
			Help: "whose mpi_cmd is: openmpi, mpich, intel, srun, other; auto asks it",
		}, {
			Name: "program", Type: sdk.TypeList,
			Help: "what each rank runs, in place of the engine or controller",
		}, {
			Name: "program_args", Type: sdk.TypeList,
			Help: "arguments of it, after those that it has",
		}, {
			Name: "stop_seconds_until_kill", Type: sdk.TypeFloat, Default: json.RawMessage("5"),
			Help: "seconds between SIGTERM and SIGKILL when stopping",
		}},
	}
}

// options are the launcher's own options.
type options struct {
	Starter     []string `json:"mpi_cmd"`
	StarterArgs []string `json:"mpi_args"`
	MPI         string   `json:"mpi"`
	Program     []string `json:"program"`
	ProgramArgs []string `json:"program_args"`
	Grace       *float64 `json:"stop_seconds_until_kill"` // nil: the default
}

// readOptions reads and checks the options of a request.
func readOptions(r sdk.StartRequest) (options, error) {
	var o options
	if err := r.DecodeOptions(&o); err != nil {
		return o, err
	}
	if len(o.Starter) == 0 {
		o.Starter = []string{"mpiexec"}
	}
	if o.Starter[0] == "" {
		return o, fmt.Errorf("%w: mpi_cmd must not begin with an empty word", sdk.ErrBadOption)
	}
	const limit = 3600
	if o.Grace != nil && (*o.Grace <= 0 || *o.Grace > limit) {
		return o, fmt.Errorf("%w: stop_seconds_until_kill is %v, want more than 0 and at most %d", sdk.ErrBadOption, *o.Grace, limit)
	}
	return o, nil
}

// grace is the time between SIGTERM and SIGKILL.
func grace(seconds *float64) time.Duration {
	if seconds == nil {
		return process.DefaultGrace
	}
	return time.Duration(*seconds * float64(time.Second))
}

// New returns the launcher of one controller or a set of engines.
func New(kind sdk.Kind, host sdk.Host) sdk.Launcher { return &Launcher{kind: kind, host: host} }
