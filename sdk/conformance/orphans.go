package conformance

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

var orphanChecks = []Check{{
	Name: "orphans", Last: true, Linux: true, run: checkOrphans,
	Want: "behind all checks no process is left that carries their mark in its environment",
}}

func checkOrphans(b *bed) {
	var left []stray
	if b.holds(func() bool { left = strays(b.mark); return len(left) == 0 }) {
		return
	}
	b.errorf("left are %v", left)
	for _, s := range left {
		if p, err := os.FindProcess(s.pid); err == nil {
			_ = p.Kill() // it may have ended just now
		}
	}
}

// stray is a process that was found by the mark in its environment.
type stray struct {
	pid     int
	command string
}

func (s stray) String() string { return fmt.Sprintf("pid %d (%.60s)", s.pid, s.command) }

// strays answers the processes, of any parent, that carry a mark in their
// environment. Where there is no /proc it answers none.
func strays(mark string) []stray {
	var found []stray
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return nil
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(text, []byte(mark)) {
			continue // gone, or another user's
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil || !lives(pid) {
			continue
		}
		line, err := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
		if err == nil {
			found = append(found, stray{pid, string(bytes.ReplaceAll(line, []byte{0}, []byte(" ")))})
		}
	}
	return found
}
