//go:build unix && !linux

package process

import "time"

// foreignPoll is how often a process that is not our child is looked at.
const foreignPoll = 250 * time.Millisecond

// waitForeign returns when a process that is not our child has ended.
func waitForeign(s State) {
	for s.check() == nil {
		time.Sleep(foreignPoll)
	}
}

// orphans answers nothing here: the process group is what can be reached.
func (p *Process) sessionMembers() []int { return nil }
