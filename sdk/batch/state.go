package batch

import (
	"encoding/json"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"sync"

	"github.com/ipcore/ipcore/sdk"
)

// stateVersion is the version of state. A state without a version was written by
// IPython Parallel.
const stateVersion = 1

// state is the JSON form of a launcher: the keys of IPython Parallel's batch launchers,
// and further ones.
type state struct {
	Version    int    `json:"version"`
	ProfileDir string `json:"profile_dir"`
	ClusterID  string `json:"cluster_id"`
	State      string `json:"state"` // "before", "running", "after"

	JobID     string         `json:"job_id"`
	Template  string         `json:"batch_template"`
	FileName  string         `json:"batch_file_name"`
	Queue     string         `json:"queue"`
	N         int            `json:"n"`
	Namespace map[string]any `json:"namespace"`
	Output    string         `json:"output_file,omitempty"`

	JobName string          `json:"job_name,omitempty"`
	Layout  string          `json:"layout,omitempty"`
	Tag     string          `json:"tag,omitempty"`
	System  string          `json:"system,omitempty"` // the Title, if Adapt determined it
	Options json.RawMessage `json:"options,omitempty"`
}

func (s *state) check(name string) error {
	switch {
	case s.Version < 0 || s.Version > stateVersion:
		return fmt.Errorf("%w: the state has version %d, and this launcher reads versions up to %d; use a newer ipcore-launcher-%s",
			sdk.ErrBadOption, s.Version, stateVersion, name)
	case s.JobID == "":
		return fmt.Errorf("%w: the state has no job_id", sdk.ErrBadOption)
	case s.JobID[0] == '-' || checkOneLine("job_id", s.JobID) != nil:
		return fmt.Errorf("%w: the state's job_id %q is not valid", sdk.ErrBadOption, s.JobID)
	case s.N < 0 || s.N > maxElements:
		return fmt.Errorf("%w: the state's n is %d, which is not valid", sdk.ErrBadOption, s.N)
	}
	return nil
}

// maxElements bounds the number of engines of a set.
const maxElements = 1_000_000

// droppedOptions are the options that a state does not contain: the script already
// has their effect, and some may be private.
var droppedOptions = []string{"batch_template", "batch_template_file", "namespace", "environment", "prologue", "directives", "drop_directives"}

// keptOptions returns the options that later commands need.
func keptOptions(own map[string]json.RawMessage) (json.RawMessage, error) {
	kept := map[string]json.RawMessage{}
	for name, value := range own {
		if !slices.Contains(droppedOptions, name) {
			kept[name] = value
		}
	}
	if len(kept) == 0 {
		return nil, nil
	}
	return json.Marshal(kept)
}

// whoami returns the login name and the user's number.
var whoami = sync.OnceValues(func() (name, uid string) {
	uid = strconv.Itoa(os.Getuid())
	if u, err := user.Current(); err == nil {
		return u.Username, uid
	}
	return uid, uid
})
