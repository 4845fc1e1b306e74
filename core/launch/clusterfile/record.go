package clusterfile

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

	"github.com/ipcore/ipcore/internal/atomicfile"
	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/process"
)

// Version is the current version of the "ipcore" part of a cluster file.
const Version = 1

// Record is the content of a cluster file: IPython Parallel's form, which its Python API
// can load, and ipcore's extension under "ipcore", which it ignores.
type Record struct {
	Cluster    Settings   `json:"cluster"`
	Controller *Workload  `json:"controller,omitempty"` // absent while none is running
	Engines    EngineSets `json:"engines"`
	Extension  Extension  `json:"ipcore"`
}

// Settings is the "cluster" object of IPython Parallel's form.
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

// Workload is one launched workload: the launcher's name and the workload's state, which
// only the launcher can read.
type Workload struct {
	Class string    `json:"class"`
	State sdk.State `json:"state"`
}

// EngineSets are the states of the engine sets by id, all of one launcher.
type EngineSets struct {
	Class string               `json:"class"`
	Sets  map[string]sdk.State `json:"sets"`
}

// Extension has the fields that IPython Parallel's form does not have.
type Extension struct {
	Version    int            `json:"version"`
	Supervisor *process.State `json:"supervisor,omitempty"`
	Created    string         `json:"created"` // RFC 3339

	// Starting has the ids of workloads that are being started and have no state yet:
	// "controller" or the id of an engine set. It is written before the launcher is
	// called, so that a crash in between leaves a trace.
	Starting []string `json:"starting,omitempty"`

	// Paths are the launchers' executables by workload id, so that a process with
	// another search path can take over the cluster.
	Paths map[string]string `json:"paths,omitempty"`

	// Alive is the number of engines of each set that have not ended, as far as the
	// supervisor knows.
	Alive map[string]int `json:"alive,omitempty"`

	// Tag is the tag of every process and job of this start.
	Tag string `json:"tag,omitempty"`

	// Options are the launchers' options by the path of the executable, without
	// secrets. They are needed to query the launcher's system later.
	Options map[string]json.RawMessage `json:"options,omitempty"`

	// Status is the last status of each engine set; Ended says how the last sets ended
	// that were not stopped.
	Status map[string]WorkloadStatus `json:"status,omitempty"`
	Ended  []WorkloadEnd             `json:"ended,omitempty"`

	// Joins is the id of the cluster whose controller the engines joined; nil for a
	// cluster with its own controller.
	Joins *string `json:"joins,omitempty"`

	// Keep reports whether the connection files outlive the controller (--reuse).
	Keep bool `json:"keep,omitempty"`
}

// WorkloadStatus is a launcher's status of an engine set.
type WorkloadStatus struct {
	State   string `json:"state"` // "pending", "running", "stopped", "unknown"
	Text    string `json:"text,omitempty"`
	Running *int   `json:"running,omitempty"`
	Pending *int   `json:"pending,omitempty"`
	Total   *int   `json:"total,omitempty"`
}

// Waiting says how many engines are waiting and why, or returns "" if none are.
func (s WorkloadStatus) Waiting() string {
	switch {
	case s.Pending != nil && *s.Pending > 0 && s.Text != "":
		return fmt.Sprintf("%d wait: %s", *s.Pending, s.Text)
	case s.Pending != nil && *s.Pending > 0:
		return fmt.Sprintf("%d wait for their turn", *s.Pending)
	case s.State == sdk.StatusPending && s.Text != "":
		return "waiting: " + s.Text
	case s.State == sdk.StatusPending:
		return "waiting for their turn"
	case s.State == sdk.StatusUnknown:
		return "status not known: " + s.Text
	}
	return ""
}

// WorkloadEnd says how an engine set ended.
type WorkloadEnd struct {
	Set    string `json:"set"`
	When   string `json:"when"`  // RFC 3339
	Cause  string `json:"cause"` // "CANCELLED by 1000", "killed by SIGKILL", "exit code 3"
	Output string `json:"output,omitempty"`
}

// maxEnds is how many entries Ended has at most.
const maxEnds = 8

// AddEnded adds the end of an engine set to Ended, unless it is there already.
func (r *Record) AddEnded(e WorkloadEnd) {
	if slices.ContainsFunc(r.Extension.Ended, func(old WorkloadEnd) bool { return old.Set == e.Set }) {
		return
	}
	r.Extension.Ended = append(r.Extension.Ended, e)
	r.Extension.Ended = r.Extension.Ended[max(0, len(r.Extension.Ended)-maxEnds):]
}

// Path returns the path of the cluster file of an id in a security folder.
func Path(securityDir, id string) string {
	return filepath.Join(securityDir, "cluster-"+id+".json")
}

// ReadRecord reads a cluster file. If there is no file, the error is fs.ErrNotExist.
func ReadRecord(path string) (*Record, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read cluster file: %w", err)
	}
	var r Record
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("read cluster file %s: %w", path, err)
	}
	if r.Extension.Version > Version {
		return nil, fmt.Errorf("cluster file %s was written by a newer ipcore (version %d, this one reads %d)", path, r.Extension.Version, Version)
	}
	r.init()
	return &r, nil
}

// init creates the maps that may be written to.
func (r *Record) init() {
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

// Write replaces the whole cluster file, with mode 0600.
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

// Create writes the cluster file only if there is none: if several processes try, one
// succeeds, on network file systems too, and the others get fs.ErrExist.
func (r *Record) Create(path string) error {
	temporary := filepath.Join(filepath.Dir(path), fmt.Sprintf(".%s.%x.tmp", filepath.Base(path), rand.Uint64())) // the form that atomicfile.Clean removes
	if err := r.Write(temporary); err != nil {
		return err
	}
	defer os.Remove(temporary)
	err := os.Link(temporary, path)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	// On a file system without hard links, the lock has to suffice.
	if _, statErr := os.Lstat(path); statErr == nil {
		return fs.ErrExist
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("write cluster file: %w", err)
	}
	return nil
}

// New returns the record of a cluster of which nothing is running yet. It sets the class
// and the version, and creates the maps.
func New(cluster Settings, extension Extension) *Record {
	r := &Record{Cluster: cluster, Extension: extension}
	r.Cluster.Class = "ipyparallel.cluster.cluster.Cluster" // IPython Parallel's API loads the file as this class
	r.Extension.Version = Version
	r.init()
	return r
}

// ID returns the cluster id in the name of a cluster file. ok is false if it is not the
// name of a cluster file.
func ID(path string) (id string, ok bool) {
	name, ok := strings.CutPrefix(filepath.Base(path), "cluster-")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(name, ".json")
}
