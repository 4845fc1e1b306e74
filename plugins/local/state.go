package local

import (
	"fmt"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/process"
)

// stateVersion is the version of the state below. A state without a version was written
// by IPython Parallel and has no create time.
const stateVersion = 1

// state is the JSON form of a launcher. It has the keys that IPython Parallel's local
// launchers write, and those that identify a process reliably.
type state struct {
	Version    int               `json:"version"`
	ProfileDir string            `json:"profile_dir"`
	ClusterID  string            `json:"cluster_id"`
	State      string            `json:"state"` // "before", "running", "after"
	PID        int               `json:"pid"`   // -1: a set
	CreateTime int64             `json:"create_time,omitempty"`
	Boot       string            `json:"boot_id,omitempty"`
	Namespace  string            `json:"pid_namespace,omitempty"`
	Host       string            `json:"host,omitempty"`
	OutputFile string            `json:"output_file,omitempty"`
	Grace      *float64          `json:"stop_seconds_until_kill,omitempty"`
	N          int               `json:"n,omitempty"`
	Engines    map[string]*state `json:"engines,omitempty"` // by index
}

// check returns an error if this version can't read the state.
func (s *state) check() error {
	if s.Version < 0 || s.Version > stateVersion {
		return fmt.Errorf("%w: the state has version %d, this launcher reads up to %d; use a newer ipcore-launcher-local",
			sdk.ErrBadOption, s.Version, stateVersion)
	}
	return nil
}

// setProcess sets the values that identify a process.
func (s *state) setProcess(p process.State) {
	s.PID, s.CreateTime, s.OutputFile = p.PID, p.CreateTime, p.OutputFile
	s.Boot, s.Namespace, s.Host = p.Boot, p.Namespace, p.Host
}

// process returns the state from which package process finds the process.
func (s *state) process() process.State {
	return process.State{
		PID: s.PID, CreateTime: s.CreateTime, OutputFile: s.OutputFile,
		Boot: s.Boot, Namespace: s.Namespace, Host: s.Host,
	}
}

func stateWord(alive bool) string {
	if alive {
		return "running"
	}
	return "after"
}
