package process

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ticksPerSecond is the unit of start times in /proc; it is 100 on every platform that
// Go supports.
const ticksPerSecond = 100

// bootID returns the id of this boot, or "" if it is not known.
var bootID = sync.OnceValue(func() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
})

// pidNamespace returns the id of this pid namespace, or "" if it is not known.
var pidNamespace = sync.OnceValue(func() string {
	name, err := os.Readlink("/proc/self/ns/pid") // "pid:[4026531836]"
	if err != nil {
		return ""
	}
	return strings.Trim(strings.TrimPrefix(name, "pid:"), "[]")
})

// stat is the part of /proc/<pid>/stat that this package needs.
type stat struct {
	state   byte
	parent  int
	session int
	start   int64 // in ticks since boot
}

// alive reports whether the process can still run; a zombie can't.
func (s stat) alive() bool { return s.state != 'Z' && s.state != 'X' && s.state != 'x' }

// readStat reads /proc/<pid>/stat. The process name in it may contain any characters,
// so fields are counted from the last closing parenthesis.
func readStat(pid int) (stat, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return stat{}, errNoProcess
	}
	if err != nil {
		return stat{}, err
	}
	return parseStat(b)
}

func parseStat(b []byte) (stat, error) {
	i := bytes.LastIndexByte(b, ')')
	f := strings.Fields(string(b[i+1:]))
	if i < 0 || len(f) < 20 || len(f[0]) != 1 || f[0][0] < 'A' {
		return stat{}, fmt.Errorf("/proc stat has an unknown format: %.80q", b)
	}
	parent, err := strconv.Atoi(f[1])
	if err != nil {
		return stat{}, fmt.Errorf("/proc stat: parent: %w", err)
	}
	session, err := strconv.Atoi(f[3])
	if err != nil {
		return stat{}, fmt.Errorf("/proc stat: session: %w", err)
	}
	start, err := strconv.ParseInt(f[19], 10, 64)
	if err != nil {
		return stat{}, fmt.Errorf("/proc stat: start time: %w", err)
	}
	return stat{state: f[0][0], parent: parent, session: session, start: start}, nil
}

// identify returns the state of the process that has the pid now. The error is
// errNoProcess if no process, or a zombie, has it.
func identify(pid int) (State, error) {
	s, err := readStat(pid)
	if err != nil {
		return State{}, err
	}
	if !s.alive() {
		return State{}, errNoProcess
	}
	id := thisMachine()
	id.PID, id.CreateTime = pid, s.start*1000/ticksPerSecond
	return id, nil
}

// thisMachine returns a State with the boot, pid namespace and host of this program.
func thisMachine() State { return State{Boot: bootID(), Namespace: pidNamespace(), Host: hostname()} }

// sameTime reports whether two states with one pid are of the same process.
func sameTime(a, b State) bool {
	return a.CreateTime == b.CreateTime && !bothKnownAndDiffer(a.Boot, b.Boot)
}

// sessions is the last scan of all sessions of this machine. Many processes that are
// stopped at the same time share a scan, because it reads a file for each process.
var sessions struct {
	sync.Mutex
	began time.Time
	pids  map[int][]int // the living processes by session
}

// members returns the living processes of a session, except its leader, from a scan that
// began after the call.
func members(session int) ([]int, error) {
	asked := time.Now()
	sessions.Lock()
	defer sessions.Unlock()
	if sessions.began.Before(asked) {
		began := time.Now()
		pids, err := readSessions()
		if err != nil {
			return nil, err
		}
		sessions.began, sessions.pids = began, pids
	}
	return sessions.pids[session], nil
}

// readSessions returns the living processes of each session, without the leaders.
func readSessions() (map[int][]int, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	pids := make(map[int][]int)
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if s, err := readStat(pid); err == nil && s.session != pid && s.alive() {
			pids[s.session] = append(pids[s.session], pid)
		}
	}
	return pids, nil
}
