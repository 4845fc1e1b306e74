package clusterfile

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

// Part is a part of a cluster that writes logs. Its value is the beginning of the names
// of its log files.
type Part string

// The parts of a cluster.
const (
	Supervisor  Part = "ipcluster" // a detached supervisor
	Controllers Part = "ipcontroller"
	Engines     Part = "ipengine"
)

// LogPath returns the path of the log file of a detached supervisor.
func LogPath(p profile.Profile, id string, pid int) string {
	return filepath.Join(p.LogDir(), LogPrefix(Supervisor, id)+strconv.Itoa(pid)+".log")
}

// LogPrefix returns the beginning of the names of a part's log files. Numbers follow:
// the engine set, the engine's index, a pid.
func LogPrefix(part Part, id string) string {
	switch {
	case id != "":
		return string(part) + "-" + id + "-"
	case part == Engines:
		return string(part) + "--" // IPython Parallel's form for an empty cluster id
	}
	return string(part) + "-"
}

// Logs returns the log files of one part of a cluster, oldest first.
func Logs(p profile.Profile, id string, part Part) ([]string, error) {
	form := regexp.MustCompile("^" + regexp.QuoteMeta(LogPrefix(part, id)) + `[0-9]+(-[0-9]+)*\.log$`)
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
		if info, err := e.Info(); err == nil { // otherwise it was just removed
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

// RemoveLogs removes the logs of earlier runs of a cluster, but not the log of this
// process, which supervises the cluster now.
func RemoveLogs(p profile.Profile, id string) error {
	var err error
	for _, part := range []Part{Supervisor, Controllers, Engines} {
		files, lookErr := Logs(p, id, part)
		err = errors.Join(err, lookErr)
		for _, file := range files {
			if file != LogPath(p, id, os.Getpid()) {
				if removeErr := os.Remove(file); !errors.Is(removeErr, os.ErrNotExist) {
					err = errors.Join(err, removeErr)
				}
			}
		}
	}
	return err
}
