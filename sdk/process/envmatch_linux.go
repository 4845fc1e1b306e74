package process

import (
	"bytes"
	"os"
	"strconv"
	"strings"
)

// maxShown is how much of a command line is shown, in bytes.
const maxShown = 120

// FindMarked answers the processes of this machine that began with name=value in
// their environment, for a value that match takes. Processes of other users can't
// be looked into and are left out. sdk.ErrUnsupported: the system does not tell.
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
			continue // gone, or another user's, or not marked
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
		// The identity is read after the environment: a pid that has changed hands in
		// between began later than the process that was looked at, and is refused.
		if m.State, err = identify(pid); err != nil || m.State.CreateTime != s.start*1000/ticksPerSecond {
			continue
		}
		m.Parent, m.Command = s.parent, commandLine(entry)
		found = append(found, m)
	}
	return found, nil
}

// commandLine answers the beginning of a process's command line, fit for a
// terminal.
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
