//go:build unix && !linux

package worker

import (
	"errors"
	"os"
	"syscall"
)

// processAttributes give the worker its own process group, so that the terminal's Ctrl-C
// does not reach it. The worker ends when its channel does.
func processAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// waitExit returns false: these systems have no wait that does not reap.
func waitExit(int) bool { return false }

func growPipe(int) {}

func oomKills() int64 { return 0 }

// faultFile returns the file that the worker's fault handler writes to; it has no name.
func faultFile() (*os.File, error) {
	f, err := os.CreateTemp("", "ipcore-fault-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
