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

// Options describe an engine. Zero fields take the defaults.
type Options struct {
	// Where the connection information is: the JSON text Info
	// (IPP_CONNECTION_INFO), else File, else the profile's file for ClusterID.
	Info      string
	File      string
	Profile   profile.Profile
	ClusterID string
	// CurveServerKey is the controller's public key, in Z85, for connection
	// information that has none (IPP_CURVE_SERVERKEY).
	CurveServerKey string

	WaitForFile time.Duration // how long to wait for the file: 10 s
	Timeout     time.Duration // for the registration: 5 s

	ID   *int   // the engine id to ask for
	UUID string // random when empty

	// Python runs the user's code; empty finds one (see worker.FindPython).
	Python string
	// StartupScript (a file) and StartupCommand are run in this order when a
	// worker has started and after each clear_request. Their errors are shown
	// on stderr and do not end the engine.
	StartupScript  string
	StartupCommand string
	WorkDir        string // of the user's code; empty is ours

	// MaxHeartbeatMisses is how many heartbeats in a row may be missing: 50;
	// negative waits for ever.
	MaxHeartbeatMisses int

	// QueueBytes and QueueLength bound what waits: 8 GiB and 1,048,576
	// requests.
	QueueBytes  int64
	QueueLength int

	// Interrupts, each value of which interrupts the running request, is for
	// the SIGINT of the engine's process. It may be nil.
	Interrupts <-chan os.Signal

	Log hclog.Logger

	command []string // starts a worker; for tests
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

// ErrRegistration reports that the controller refused the engine or did not
// answer in time.
var ErrRegistration = errors.New("registration failed")

// ErrControllerGone reports that no heartbeat came for too long.
var ErrControllerGone = errors.New("the controller is gone")

// ErrWorker reports that no Python worker could be started.
var ErrWorker = errors.New("the Python worker does not start")

// ExitCode is the exit status for what Run answered: 0, 255 for a failed
// registration (as upstream's engine), else 1.
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
