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

// supervisorRuns reports whether the recorded supervisor is running: that very process,
// not another one with the same pid. A supervisor on another machine can't be examined
// and is assumed to be running.
func supervisorRuns(s *process.State) bool {
	if s == nil {
		return false
	}
	_, err := process.Attach(*s)
	return err == nil || errors.Is(err, sdk.ErrUnknownStatus)
}

// onOtherMachine reports whether the supervisor is on another machine.
func onOtherMachine(s *process.State) bool {
	_, err := process.Attach(*s)
	return errors.Is(err, sdk.ErrUnknownStatus)
}

// endSupervisor asks the supervisor to end and waits until it has.
func endSupervisor(ctx context.Context, s process.State) error {
	handle, err := os.FindProcess(s.PID) // before the check below, so that both are about the same process
	if err != nil {
		return nil // there is no such process
	}
	defer handle.Release() //nolint:errcheck // nothing depends on it
	watched, err := process.Attach(s)
	if errors.Is(err, sdk.ErrNotRunning) {
		return nil
	}
	if err != nil {
		return err
	}
	if runtime.GOOS == "windows" { // can't ask a process without a window to end
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
