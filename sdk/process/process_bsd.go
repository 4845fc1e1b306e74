//go:build unix && !linux

package process

import "time"

// foreignPoll is the interval at which a process that is not a child is checked.
const foreignPoll = 250 * time.Millisecond

// waitForeign returns when a process that is not a child has ended.
func waitForeign(s State) {
	for s.check() == nil {
		time.Sleep(foreignPoll)
	}
}

// sessionMembers returns nothing on this system, where only the process group can be
// signaled.
func (p *Process) sessionMembers() []int { return nil }
