package process

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// foreignPoll is the interval at which a process is checked if the kernel can't report
// its end.
const foreignPoll = 250 * time.Millisecond

// waitForeign returns when a process that is not a child has ended.
func waitForeign(s State) {
	fd, err := unix.PidfdOpen(s.PID, unix.PIDFD_NONBLOCK)
	if err == nil {
		f := os.NewFile(uintptr(fd), "pidfd")
		defer f.Close()
		if s.check() != nil {
			return // the descriptor may belong to a later process with that pid
		}
		if c, err := f.SyscallConn(); err == nil {
			// The runtime's poller calls this when the descriptor is readable, which it is
			// when the process has ended. No thread waits.
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

// sessionMembers returns the living processes of the session, except its leader. While
// the session has members, no other process gets its number. So if another process
// has the number, the session has no members.
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
