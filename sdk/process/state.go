package process

import (
	"errors"
	"fmt"
	"os"

	"github.com/ipcore/ipcore/sdk"
)

// State identifies a process, so that another program can find it again. It has JSON
// tags and may be embedded in a launcher's own state.
type State struct {
	PID int `json:"pid"`
	// CreateTime is when the process began, in milliseconds: on Linux since boot, so
	// that changes of the clock do not affect it, elsewhere since 1970.
	CreateTime int64 `json:"create_time"`
	// Boot and Namespace identify the boot and the pid namespace on Linux, where
	// CreateTime counts from boot and containers have pids of their own.
	Boot      string `json:"boot_id,omitempty"`
	Namespace string `json:"pid_namespace,omitempty"`
	// Host is the name of the machine on which the process runs.
	Host string `json:"host,omitempty"`
	// OutputFile is the file to which the process writes its output.
	OutputFile string `json:"output_file,omitempty"`
}

// errNoProcess means that no process has the pid.
var errNoProcess = errors.New("no such process")

// check returns nil if the process of the state is alive. The error wraps
// sdk.ErrNotRunning when it is certainly not, and sdk.ErrUnknownStatus when that can't
// be determined on this machine.
func (s State) check() error {
	_, err := s.find()
	return err
}

// find returns the current state of the process, with the errors of check.
func (s State) find() (State, error) {
	if s.PID <= 0 {
		return State{}, fmt.Errorf("%w: pid %d", sdk.ErrNotRunning, s.PID)
	}
	now, err := identify(s.PID)
	same := err == nil && s.CreateTime != 0 && sameTime(s, now)
	us := thisMachine()
	switch {
	case bothKnownAndDiffer(s.Boot, us.Boot) && !bothKnownAndDiffer(s.Host, us.Host):
		return State{}, fmt.Errorf("%w: pid %d: this machine was rebooted since", sdk.ErrNotRunning, s.PID)
	case bothKnownAndDiffer(s.Boot, us.Boot), (s.Boot == "" || us.Boot == "") && bothKnownAndDiffer(s.Host, us.Host) && !same:
		return State{}, fmt.Errorf("%w: pid %d was started on %s, and this machine is %s; run the command there", sdk.ErrUnknownStatus, s.PID, s.Host, us.Host)
	case bothKnownAndDiffer(s.Namespace, us.Namespace):
		return State{}, fmt.Errorf("%w: pid %d was started in another container (on %s); run the command there", sdk.ErrUnknownStatus, s.PID, s.Host)
	case errors.Is(err, errNoProcess):
		return State{}, fmt.Errorf("%w: pid %d", sdk.ErrNotRunning, s.PID)
	case err != nil:
		return State{}, fmt.Errorf("%w: pid %d: %w", sdk.ErrUnknownStatus, s.PID, err)
	case s.CreateTime != 0 && !same:
		return State{}, fmt.Errorf("%w: pid %d belongs to another process now", sdk.ErrNotRunning, s.PID)
	}
	return now, nil
}

// bothKnownAndDiffer reports whether two names are known and differ.
func bothKnownAndDiffer(a, b string) bool { return a != "" && b != "" && a != b }

// hostname returns this machine's name, or "" when it has none.
func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}
