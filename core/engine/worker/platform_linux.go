package worker

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// processAttributes give the worker a process group of its own, out of reach
// of the terminal's Ctrl-C, and have it killed when the thread that started
// it ends.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// waitExit waits until a child has ended, without reaping it. It answers
// false when it could not.
func waitExit(pid int) bool {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return err == nil
		}
	}
}

func growPipe(fd int) { _, _ = unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, pipeSize) }

// faultFile is where the worker's fault handler writes: memory without a name.
func faultFile() (*os.File, error) {
	fd, err := unix.MemfdCreate("ipcore-fault", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "fault report"), nil
}

// oomKills counts the processes of our control group that were killed for
// lack of memory; 0 where that is not told.
func oomKills() int64 {
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(groups) {
		fields := bytes.SplitN(bytes.TrimSpace(line), []byte(":"), 3)
		if len(fields) != 3 {
			continue
		}
		path := string(fields[2])
		switch string(fields[1]) {
		case "":
			if n, ok := counter(filepath.Join("/sys/fs/cgroup", path, "memory.events")); ok {
				return n
			}
		case "memory":
			if n, ok := counter(filepath.Join("/sys/fs/cgroup/memory", path, "memory.oom_control")); ok {
				return n
			}
		}
	}
	return 0
}

// counter reads the line "oom_kill N" of a control group's file.
func counter(path string) (int64, bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	for line := range bytes.Lines(text) {
		if value, ok := bytes.CutPrefix(line, []byte("oom_kill ")); ok {
			n, err := strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
