package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ipcore/ipcore/internal/atomicfile"
	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/process"
)

// fileVersion is the version of our part of the cluster file.
const fileVersion = 1

// Record is the content of a cluster file: upstream's form, which its Python
// API can load, and our own part under "ipcore", which it ignores.
type Record struct {
	Cluster    Settings   `json:"cluster"`
	Controller *Workload  `json:"controller,omitempty"` // absent while none runs
	Engines    EngineSets `json:"engines"`
	Extension  Extension  `json:"ipcore"`
}

// Settings is upstream's "cluster" object.
type Settings struct {
	ClusterID          string   `json:"cluster_id"`
	ControllerArgs     []string `json:"controller_args"`
	ControllerIP       string   `json:"controller_ip"`
	ControllerLocation string   `json:"controller_location"`
	Delay              float64  `json:"delay"`
	N                  int      `json:"n"`
	ProfileDir         string   `json:"profile_dir"`
	Class              string   `json:"class,omitempty"`
}

// Unit is one launched thing: the launcher's name and its state, which only
// the launcher understands.
type Workload struct {
	Class string    `json:"class"`
	State sdk.State `json:"state"`
}

// EngineSets are the engine sets by id, all of one launcher.
type EngineSets struct {
	Class string               `json:"class"`
	Sets  map[string]sdk.State `json:"sets"`
}

// Own is what upstream's form has no place for.
type Extension struct {
	Version    int            `json:"version"`
	Supervisor *process.State `json:"supervisor,omitempty"`
	Created    string         `json:"created"` // RFC 3339

	// Starting names what is about to be started and has no state yet:
	// controllerID or an engine set id. It is written before the launcher is
	// asked, so a crash between the two leaves a trace.
	Starting []string `json:"starting,omitempty"`

	// Paths are the plugin executables by unit id, so that a cluster can be
	// taken over by a process with another search path.
	Paths map[string]string `json:"paths,omitempty"`

	// Alive counts the engines of each set that have not ended, as far as the
	// supervisor was told.
	Alive map[string]int `json:"alive,omitempty"`

	// Tag is what every process and job of this start carries.
	Tag string `json:"tag,omitempty"`

	// Options are those of launchers by the path of the executable, without secrets:
	// what is needed to ask its system again.
	Options map[string]json.RawMessage `json:"options,omitempty"`

	// Status is what the launcher said last of each set, and Ended how the last sets
	// ended that nobody stopped.
	Status map[string]WorkloadStatus `json:"status,omitempty"`
	Ended  []WorkloadEnd             `json:"ended,omitempty"`

	// Joins is the id of the cluster whose controller the engines have joined; nil for
	// a cluster with a controller of its own.
	Joins *string `json:"joins,omitempty"`

	// Keep tells that the connection files outlive the controller (--reuse).
	Keep bool `json:"keep,omitempty"`
}

// UnitStatus is what a launcher says of an engine set.
type WorkloadStatus struct {
	State   string `json:"state"` // "pending", "running", "stopped", "unknown"
	Text    string `json:"text,omitempty"`
	Running *int   `json:"running,omitempty"`
	Pending *int   `json:"pending,omitempty"`
	Total   *int   `json:"total,omitempty"`
}

// UnitEnd is how an engine set ended.
type WorkloadEnd struct {
	Set    string `json:"set"`
	When   string `json:"when"`  // RFC 3339
	Cause  string `json:"cause"` // "CANCELLED by 1000", "killed by SIGKILL", "exit code 3"
	Output string `json:"output,omitempty"`
}

// maxEnds is how many ends of sets are remembered.
const maxEnds = 8

// addEnded remembers the end of a set, once.
func (r *Record) addEnded(e WorkloadEnd) {
	if slices.ContainsFunc(r.Extension.Ended, func(old WorkloadEnd) bool { return old.Set == e.Set }) {
		return
	}
	r.Extension.Ended = append(r.Extension.Ended, e)
	r.Extension.Ended = r.Extension.Ended[max(0, len(r.Extension.Ended)-maxEnds):]
}

// Path answers the cluster file of an id in a security folder.
func Path(securityDir, id string) string {
	return filepath.Join(securityDir, "cluster-"+id+".json")
}

// ReadRecord reads a cluster file. A missing one is fs.ErrNotExist.
func ReadRecord(path string) (*Record, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read cluster file: %w", err)
	}
	var r Record
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("read cluster file %s: %w", path, err)
	}
	if r.Extension.Version > fileVersion {
		return nil, fmt.Errorf("cluster file %s was written by a newer ipcore (version %d, this one reads %d)", path, r.Extension.Version, fileVersion)
	}
	r.fill()
	return &r, nil
}

// fill makes what may be written to.
func (r *Record) fill() {
	if r.Engines.Sets == nil {
		r.Engines.Sets = map[string]sdk.State{}
	}
	if r.Extension.Paths == nil {
		r.Extension.Paths = map[string]string{}
	}
	if r.Extension.Alive == nil {
		r.Extension.Alive = map[string]int{}
	}
	if r.Extension.Options == nil {
		r.Extension.Options = map[string]json.RawMessage{}
	}
	if r.Extension.Status == nil {
		r.Extension.Status = map[string]WorkloadStatus{}
	}
}

// Write replaces the cluster file as a whole, 0600.
func (r *Record) Write(path string) error {
	text, err := r.text()
	if err != nil {
		return err
	}
	return atomicfile.Write(path, text, 0o600)
}

func (r *Record) text() ([]byte, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("write cluster file: %w", err)
	}
	return append(text, '\n'), nil
}

// create writes the cluster file only where there is none: of several
// processes that try, one succeeds, on network file systems too. The others
// get fs.ErrExist.
func (r *Record) create(path string) error {
	temporary := filepath.Join(filepath.Dir(path), fmt.Sprintf(".%s.%x.tmp", filepath.Base(path), rand.Uint64())) // as atomicfile.Clean looks for
	if err := r.Write(temporary); err != nil {
		return err
	}
	defer os.Remove(temporary)
	err := os.Link(temporary, path)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	// A file system without hard links: the lock has to do.
	if _, statErr := os.Lstat(path); statErr == nil {
		return fs.ErrExist
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("write cluster file: %w", err)
	}
	return nil
}

// newRecord is the record of a cluster of which nothing runs yet.
func newRecord(o *Options, tag string, self process.State) *Record {
	r := &Record{
		Cluster: Settings{
			ClusterID:      o.ID,
			ControllerArgs: append([]string{}, o.ControllerArgs...),
			Delay:          1,
			N:              o.N,
			ProfileDir:     o.Profile.Dir,
			Class:          "ipyparallel.cluster.cluster.Cluster",
		},
		Extension: Extension{
			Version:    fileVersion,
			Supervisor: &self,
			Created:    time.Now().UTC().Format(time.RFC3339),
			Tag:        tag,
			Joins:      o.Join,
			Keep:       o.keepsFiles(),
		},
	}
	r.fill()
	return r
}

// idOf answers the cluster id in a cluster file's name.
func idOf(path string) (id string, ok bool) {
	name, ok := strings.CutPrefix(filepath.Base(path), "cluster-")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(name, ".json")
}
