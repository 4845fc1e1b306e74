//go:build unix

package conformance

import (
	"os"
	"syscall"
)

// terminate asks the process to end; interrupt sends the signal of Ctrl-C.
func terminate(p *os.Process) error { return p.Signal(syscall.SIGTERM) }
func interrupt(p *os.Process) error { return p.Signal(syscall.SIGINT) }
