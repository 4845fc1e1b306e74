package process

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// foreignPoll is how often a process is looked at where the kernel can't tell of
// its end.
const foreignPoll = 250 * time.Millisecond

// waitForeign returns when a process that is not our child has ended.
func waitForeign(s State) {
	fd, err := unix.PidfdOpen(s.PID, unix.PIDFD_NONBLOCK)
	if err == nil {
		f := os.NewFile(uintptr(fd), "pidfd")
		defer f.Close()
		if s.check() != nil {
			return // the descriptor may be of a later process with that pid
		}
		if c, err := f.SyscallConn(); err == nil {
			// The runtime's poller calls this when the descriptor is readable, which
			// it is from the end of the process on: no thread waits.
			err = c.Read(func(fd uintptr) bool {
				n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
				return n > 0 || (err != nil && !errors.Is(err, unix.EINTR))
			})
			if err == nil && s.check() != nil {
				return
			}
		}
	}
	for s.check() == nil {
		time.Sleep(foreignPoll)
	}
}

// orphans answers the living members of the session, except its leader. While
// the session has members, its number is given to no other process; a process
// that has the number and is not ours therefore means that ours has no members.
func (p *Process) sessionMembers() []int {
	if id, err := identify(p.state.PID); err == nil && !sameTime(p.state, id) {
		return nil
	}
	if p.state.CreateTime == 0 {
		return nil
	}
	pids, err := members(p.state.PID)
	if err != nil {
		return nil
	}
	return pids
}
