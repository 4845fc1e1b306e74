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
	// Boot tells boots apart where CreateTime counts from boot.
	Boot string `json:"boot_id,omitempty"`
	// Host is the machine it runs on.
	Host string `json:"host,omitempty"`
	// OutputFile is where its output goes.
	OutputFile string `json:"output_file,omitempty"`
}

// errGone tells that no process has the pid.
var errGone = errors.New("no such process")

// check tells whether the process of the state is alive on this machine:
// sdk.ErrNotRunning if it is certainly not, sdk.ErrUnknownStatus if only another
// machine can tell.
func (s State) check() error {
	if s.PID <= 0 {
		return fmt.Errorf("%w: pid %d", sdk.ErrNotRunning, s.PID)
	}
	if here := hostname(); s.Host != "" && here != "" && s.Host != here {
		return fmt.Errorf("%w: pid %d was started on %s, this is %s; ask there", sdk.ErrUnknownStatus, s.PID, s.Host, here)
	}
	now, err := identify(s.PID)
	switch {
	case errors.Is(err, errGone):
		return fmt.Errorf("%w: pid %d", sdk.ErrNotRunning, s.PID)
	case err != nil:
		return fmt.Errorf("%w: pid %d: %w", sdk.ErrUnknownStatus, s.PID, err)
	case s.CreateTime != 0 && !sameTime(s, now):
		return fmt.Errorf("%w: pid %d belongs to another process now", sdk.ErrNotRunning, s.PID)
	}
	return nil
}

// hostname answers this machine's name, or "" when it has none.
func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}
