package mpi

import (
	"fmt"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/process"
)

// stateVersion is the version of the state below. A state without a version was written
// by IPython Parallel and has no create time.
const stateVersion = 1

// state is the JSON form of a launcher. It has the keys that IPython Parallel's MPI
// launchers write, and those that identify the job reliably. The process is the
// starter.
type state struct {
	Version    int      `json:"version"`
	ProfileDir string   `json:"profile_dir"`
	ClusterID  string   `json:"cluster_id"`
	Word       string   `json:"state"` // "before", "running", "after"
	N          int      `json:"n,omitempty"`
	MPI        string   `json:"mpi,omitempty"` // name of the dialect
	Job        string   `json:"job,omitempty"` // value of jobVariable
	Grace      *float64 `json:"stop_seconds_until_kill,omitempty"`
	process.State
}

// check returns an error if this version can't read the state.
func (s *state) check() error {
	if s.Version < 0 || s.Version > stateVersion {
		return fmt.Errorf("%w: the state has version %d, this launcher reads up to %d; use a newer ipcore-launcher-mpi",
			sdk.ErrBadOption, s.Version, stateVersion)
	}
	return nil
}
