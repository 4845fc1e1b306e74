package conformance

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

var leftoverChecks = []Check{{
	Name: "leftovers", Last: true, Linux: true, run: checkLeftovers,
	Want: "after all checks no process is left that has their mark in its environment",
}}

func checkLeftovers(b *fixture) {
	var left []leftProcess
	if b.eventually(func() bool { left = leftProcesses(b.mark); return len(left) == 0 }) {
		return
	}
	b.errorf("these processes are left: %v", left)
	for _, s := range left {
		if p, err := os.FindProcess(s.pid); err == nil {
			_ = p.Kill() // it may have ended just now
		}
	}
}

// leftProcess is a process that was found by a mark in its environment.
type leftProcess struct {
	pid     int
	command string
}

func (s leftProcess) String() string { return fmt.Sprintf("pid %d (%.60s)", s.pid, s.command) }

// leftProcesses returns the processes, of any parent, that have a mark in their
// environment. It returns none on a system without /proc.
func leftProcesses(mark string) []leftProcess {
	var found []leftProcess
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return nil
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(text, []byte(mark)) {
			continue // the process is gone, or another user's
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil || !isAlive(pid) {
			continue
		}
		line, err := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
		if err == nil {
			found = append(found, leftProcess{pid, string(bytes.ReplaceAll(line, []byte{0}, []byte(" ")))})
		}
	}
	return found
}
