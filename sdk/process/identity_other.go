//go:build !linux

package process

import (
	"errors"
	"slices"
	"time"

	ps "github.com/shirou/gopsutil/v3/process"
)

// clockDrift is how far two readings of one create time may lie apart.
const clockDrift = 2 * time.Second

// identify answers who has the pid now; errGone if nobody, or a zombie, has it.
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

// here answers where this program runs.
func thisMachine() State { return State{Host: hostname()} }

// sameTime tells whether two states of one pid are of one process.
func sameTime(a, b State) bool {
	d := a.CreateTime - b.CreateTime
	return max(d, -d) <= clockDrift.Milliseconds()
}
