package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"

	"github.com/ipcore/ipcore/core/profile"
)

// Part is a part of a cluster that writes logs. Its value is how the names of
// its log files begin.
type Part string

// The parts.
const (
	Supervisor  Part = "ipcluster" // of a daemon
	Controllers Part = "ipcontroller"
	Engines     Part = "ipengine"
)

// LogPath is the log file of a supervisor in the background.
func LogPath(p profile.Profile, id string, pid int) string {
	return filepath.Join(p.LogDir(), logPrefix(Supervisor, id)+strconv.Itoa(pid)+".log")
}

// logPrefix is how the names of a part's log files begin; what follows are
// numbers: the engine set, the engine's index, a pid.
func logPrefix(part Part, id string) string {
	switch {
	case id != "":
		return string(part) + "-" + id + "-"
	case part == Engines:
		return string(part) + "--" // upstream's form for the cluster without a name
	}
	return string(part) + "-"
}

// Logs answers the log files of one part of a cluster, oldest first.
func Logs(p profile.Profile, id string, part Part) ([]string, error) {
	form := regexp.MustCompile("^" + regexp.QuoteMeta(logPrefix(part, id)) + `[0-9]+(-[0-9]+)*\.log$`)
	entries, err := os.ReadDir(p.LogDir())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("look for logs: %w", err)
	}
	type log struct {
		path    string
		written int64
	}
	var found []log
	for _, e := range entries {
		if !form.MatchString(e.Name()) {
			continue
		}
		if info, err := e.Info(); err == nil { // else it has just gone
			found = append(found, log{filepath.Join(p.LogDir(), e.Name()), info.ModTime().UnixNano()})
		}
	}
	slices.SortStableFunc(found, func(a, b log) int { return int(min(max(a.written-b.written, -1), 1)) })
	paths := make([]string, len(found))
	for i, l := range found {
		paths[i] = l.path
	}
	return paths, nil
}

// removeLogs removes the logs of earlier runs of a cluster, which belongs to
// this process now, but not this process's own.
func removeLogs(p profile.Profile, id string) error {
	var err error
	for _, part := range []Part{Supervisor, Controllers, Engines} {
		files, lookErr := Logs(p, id, part)
		err = errors.Join(err, lookErr)
		for _, file := range files {
			if file != LogPath(p, id, os.Getpid()) {
				err = errors.Join(err, removeIfThere(file))
			}
		}
	}
	return err
}
