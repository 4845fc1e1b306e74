//go:build unix && !linux

package worker

import (
	"errors"
	"os"
	"syscall"
)

// processAttributes give the worker a process group of its own, out of reach
// of the terminal's Ctrl-C. It ends when its channel does.
func processAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// waitExit answers false: there is no wait here that does not reap.
func waitExit(int) bool { return false }

func growPipe(int) {}

func oomKills() int64 { return 0 }

// faultFile is where the worker's fault handler writes: a file without a name.
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
