package process

import (
	"errors"
	"fmt"
	"os"

	"github.com/ipcore/ipcore/sdk"
)

// State is how a process is found again. It is JSON and may be embedded in a
// launcher's own state.
type State struct {
	PID int `json:"pid"`
	// CreateTime is when the process began, in milliseconds: on Linux since boot,
	// which no change of the clock moves, elsewhere since 1970.
	CreateTime int64 `json:"create_time"`
	// Boot and Namespace tell boots and containers apart on Linux, where CreateTime
	// counts from boot and a pid belongs to a pid namespace.
	Boot      string `json:"boot_id,omitempty"`
	Namespace string `json:"pid_namespace,omitempty"`
	// Host is the name of the machine it runs on.
	Host string `json:"host,omitempty"`
	// OutputFile is where its output goes.
	OutputFile string `json:"output_file,omitempty"`
}

// errGone tells that no process has the pid.
var errNoProcess = errors.New("no such process")

// check tells whether the process of the state is alive: sdk.ErrNotRunning if it
// is certainly not, sdk.ErrUnknownStatus if that can't be told from here.
func (s State) check() error {
	_, err := s.find()
	return err
}

// find answers the process of the state as it is now, with the errors of check.
func (s State) find() (State, error) {
	if s.PID <= 0 {
		return State{}, fmt.Errorf("%w: pid %d", sdk.ErrNotRunning, s.PID)
	}
	now, err := identify(s.PID)
	same := err == nil && s.CreateTime != 0 && sameTime(s, now)
	us := thisMachine()
	switch {
	case bothKnownAndDiffer(s.Boot, us.Boot) && !bothKnownAndDiffer(s.Host, us.Host):
		return State{}, fmt.Errorf("%w: pid %d, this machine was started anew since", sdk.ErrNotRunning, s.PID)
	case bothKnownAndDiffer(s.Boot, us.Boot), (s.Boot == "" || us.Boot == "") && bothKnownAndDiffer(s.Host, us.Host) && !same:
		return State{}, fmt.Errorf("%w: pid %d was started on %s, this is %s; ask there", sdk.ErrUnknownStatus, s.PID, s.Host, us.Host)
	case bothKnownAndDiffer(s.Namespace, us.Namespace):
		return State{}, fmt.Errorf("%w: pid %d was started in another container (on %s); ask there", sdk.ErrUnknownStatus, s.PID, s.Host)
	case errors.Is(err, errNoProcess):
		return State{}, fmt.Errorf("%w: pid %d", sdk.ErrNotRunning, s.PID)
	case err != nil:
		return State{}, fmt.Errorf("%w: pid %d: %w", sdk.ErrUnknownStatus, s.PID, err)
	case s.CreateTime != 0 && !same:
		return State{}, fmt.Errorf("%w: pid %d belongs to another process now", sdk.ErrNotRunning, s.PID)
	}
	return now, nil
}

// differ tells whether two names are known and not the same.
func bothKnownAndDiffer(a, b string) bool { return a != "" && b != "" && a != b }

// hostname answers this machine's name, or "" when it has none.
func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}
