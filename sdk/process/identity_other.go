//go:build !linux

package process

import (
	"errors"
	"slices"
	"time"

	ps "github.com/shirou/gopsutil/v3/process"
)

// clockDrift is how much two readings of the same creation time may differ.
const clockDrift = 2 * time.Second

// identify returns the state of the process that has the pid now. The error is
// errNoProcess if no process, or a zombie, has it.
func identify(pid int) (State, error) {
	p, err := ps.NewProcess(int32(pid))
	if errors.Is(err, ps.ErrorProcessNotRunning) {
		return State{}, errNoProcess
	}
	if err != nil {
		return State{}, err
	}
	if status, err := p.Status(); err == nil && slices.Contains(status, ps.Zombie) {
		return State{}, errNoProcess
	}
	t, err := p.CreateTime()
	if err != nil {
		return State{}, err
	}
	return State{PID: pid, CreateTime: t, Host: hostname()}, nil
}

// thisMachine returns a State with the host of this program.
func thisMachine() State { return State{Host: hostname()} }

// sameTime reports whether two states with one pid are of the same process.
func sameTime(a, b State) bool {
	d := a.CreateTime - b.CreateTime
	return max(d, -d) <= clockDrift.Milliseconds()
}
