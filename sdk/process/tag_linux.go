package process

import (
	"errors"
	"os"
	"strconv"
	"strings"
)

// maxShown is how much of a command line is shown, in bytes.
const maxShown = 120

// tagged answers the living processes whose tag is one that is looked for. Those
// of other users are passed over: their environment can't be read.
func tagged(want func(tag string) bool) ([]taggedProcess, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var found []taggedProcess
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		before, err := identify(pid)
		if err != nil {
			continue // it has ended
		}
		environ, err := os.ReadFile("/proc/" + name + "/environ")
		if err != nil {
			continue // of another user, or gone
		}
		tag := tagIn(string(environ))
		if tag == "" || !want(tag) {
			continue
		}
		if now, err := identify(pid); errors.Is(err, errGone) || err == nil && !sameTime(before, now) {
			continue
		}
		found = append(found, taggedProcess{before, tag, commandLine(name)})
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
