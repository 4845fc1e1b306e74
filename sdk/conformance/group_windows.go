package conformance

import (
	"os"
	"os/exec"
)

// The kit does not run on Windows (Cases says so); these only compile there.
func ownGroup(*exec.Cmd)            {}
func killGroup(p *os.Process) error { return p.Kill() }
func terminate(p *os.Process) error { return p.Kill() }
func interrupt(p *os.Process) error { return p.Kill() }
