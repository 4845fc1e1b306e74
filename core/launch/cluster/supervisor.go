package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/process"
)

// supervisorRuns tells whether the recorded supervisor is there: that very
// process, not another one that got its pid. One on another machine can't be
// seen from here and is taken to run.
func supervisorRuns(s *process.State) bool {
	if s == nil {
		return false
	}
	_, err := process.Attach(*s)
	return err == nil || errors.Is(err, sdk.ErrUnknownStatus)
}

// elsewhere tells whether the supervisor is on another machine.
func onOtherMachine(s *process.State) bool {
	_, err := process.Attach(*s)
	return errors.Is(err, sdk.ErrUnknownStatus)
}

// endSupervisor asks the supervisor to end and waits until it has.
func endSupervisor(ctx context.Context, s process.State) error {
	handle, err := os.FindProcess(s.PID) // first: the check below is then about the same process
	if err != nil {
		return nil // there is none
	}
	defer handle.Release() //nolint:errcheck // nothing depends on it
	watched, err := process.Attach(s)
	if errors.Is(err, sdk.ErrNotRunning) {
		return nil
	}
	if err != nil {
		return err
	}
	if runtime.GOOS == "windows" { // has no request to end for a process without a window
		err = handle.Kill()
	} else {
		err = handle.Signal(syscall.SIGTERM)
	}
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal process %d: %w", s.PID, err)
	}
	if _, err := watched.Wait(ctx); err != nil {
		return fmt.Errorf("process %d has not ended: %w", s.PID, err)
	}
	return nil
}
