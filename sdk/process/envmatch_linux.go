package process

import (
	"bytes"
	"os"
	"strconv"
	"strings"
)

// maxShown bounds EnvMatch.Command, in bytes.
const maxShown = 120

// FindByEnv returns the processes of this machine that began with the variable name in
// their environment and a value for which match returns true. It does not find
// processes of other users, whose environment can't be read. The error wraps
// sdk.ErrUnsupported when the operating system does not show environments.
func FindByEnv(name string, match func(value string) bool) ([]EnvMatch, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	entries, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var found []EnvMatch
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry)
		if err != nil {
			continue
		}
		environ, err := os.ReadFile("/proc/" + entry + "/environ")
		if err != nil || !bytes.Contains(environ, []byte(name+"=")) {
			continue // the process is gone, or another user's, or does not have the variable
		}
		m := EnvMatch{Environ: make(map[string]string)}
		for kv := range strings.SplitSeq(string(environ), "\x00") {
			if k, v, ok := strings.Cut(kv, "="); ok {
				m.Environ[k] = v
			}
		}
		if value, ok := m.Environ[name]; !ok || !match(value) {
			continue
		}
		s, err := readStat(pid)
		if err != nil || !s.alive() {
			continue
		}
		// The identity is read after the environment. If another process got the pid in
		// between, it began later than the one whose environment was read, and is skipped.
		if m.State, err = identify(pid); err != nil || m.State.CreateTime != s.start*1000/ticksPerSecond {
			continue
		}
		m.Parent, m.Command = s.parent, commandLine(entry)
		found = append(found, m)
	}
	return found, nil
}

// commandLine returns the beginning of a process's command line, without control
// characters.
func commandLine(pid string) string {
	text, err := os.ReadFile("/proc/" + pid + "/cmdline")
	if err != nil {
		return "?"
	}
	line := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(strings.TrimRight(string(text), "\x00"), "?"))
	if len(line) > maxShown {
		line = strings.ToValidUTF8(line[:maxShown], "") + "…"
	}
	return line
}
