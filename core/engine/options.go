package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/connfile"
	"github.com/ipcore/ipcore/core/profile"
)

// Options configure an engine. Zero values select the defaults.
type Options struct {
	// The connection information is Info, as JSON text (IPP_CONNECTION_INFO),
	// otherwise the content of File, otherwise of the profile's file for ClusterID.
	Info      string
	File      string
	Profile   profile.Profile
	ClusterID string
	// CurveServerKey is the controller's public key, in Z85, for connection
	// information that has none (IPP_CURVE_SERVERKEY).
	CurveServerKey string

	WaitForFile time.Duration // how long to wait for the file; default 10 s
	Timeout     time.Duration // limit for the registration; default 5 s

	ID   *int   // the engine id to request
	UUID string // empty generates one

	// Python is the interpreter for the user's code; empty searches for one (see
	// python.Find).
	Python string
	// StartupScript (a file) and StartupCommand are run in this order after a
	// worker has started and after each clear_request. Their errors are published
	// on stderr and do not end the engine.
	StartupScript  string
	StartupCommand string
	WorkDir        string // working directory of the user's code; empty means the engine's

	// MaxHeartbeatMisses is how many heartbeats in a row may be missing; default 50,
	// negative means no limit.
	MaxHeartbeatMisses int

	// QueueBytes and QueueLength limit the waiting requests; default 8 GiB and
	// 1,048,576 requests.
	QueueBytes  int64
	QueueLength int

	// Each value received from Interrupts interrupts the running request, for
	// example on SIGINT to the engine's process. It may be nil.
	Interrupts <-chan os.Signal

	Log hclog.Logger

	command []string // command of the worker, for tests
}

func (o Options) withDefaults() (Options, error) {
	def := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&o.WaitForFile, 10*time.Second)
	def(&o.Timeout, 5*time.Second)
	if o.MaxHeartbeatMisses == 0 {
		o.MaxHeartbeatMisses = 50
	}
	if o.QueueBytes <= 0 {
		o.QueueBytes = 8 << 30
	}
	if o.QueueLength <= 0 {
		o.QueueLength = 1 << 20
	}
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	if o.ID != nil && *o.ID < 0 {
		return o, fmt.Errorf("--id: %d is not an engine id", *o.ID)
	}
	if o.Info == "" && o.File == "" {
		if o.Profile.Dir == "" {
			return o, errors.New("engine: no profile, no file and no connection info")
		}
		_, name := connfile.Names(o.ClusterID)
		o.File = filepath.Join(o.Profile.SecurityDir(), name)
	}
	if o.WorkDir != "" {
		if info, err := os.Stat(o.WorkDir); err != nil {
			return o, fmt.Errorf("--work-dir: %w", err)
		} else if !info.IsDir() {
			return o, fmt.Errorf("--work-dir: %s is not a directory", o.WorkDir)
		}
	}
	if o.StartupScript != "" {
		path, err := filepath.Abs(o.StartupScript)
		if err == nil {
			_, err = os.Stat(path)
		}
		if err != nil {
			return o, fmt.Errorf("startup script: %w", err)
		}
		o.StartupScript = path
	}
	return o, nil
}

// ErrRegistration means that the controller refused the engine or did not reply in
// time.
var ErrRegistration = errors.New("registration failed")

// ErrControllerGone means that no heartbeat arrived for too long.
var ErrControllerGone = errors.New("the controller is gone")

// ErrWorker means that no Python worker could be started.
var ErrWorker = errors.New("the Python worker could not be started")

// ExitCode returns the exit code for an error of Run: 0 for nil, 255 for a failed
// registration (as IPython Parallel's engine), otherwise 1.
func ExitCode(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, ErrRegistration):
		return 255
	default:
		return 1
	}
}
