package worker

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// processAttributes give the worker its own process group, so that the terminal's Ctrl-C
// does not reach it, and have the kernel kill it when the thread that started it ends.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// waitExit waits until a child has ended, without reaping it. It returns false if that
// failed.
func waitExit(pid int) bool {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return err == nil
		}
	}
}

func growPipe(fd int) { _, _ = unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, pipeSize) }

// faultFile returns the file that the worker's fault handler writes to; it is in memory
// and has no name.
func faultFile() (*os.File, error) {
	fd, err := unix.MemfdCreate("ipcore-fault", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "fault report"), nil
}

// oomKills returns how many processes of this control group were killed for lack of
// memory, or 0 if the system does not say.
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
