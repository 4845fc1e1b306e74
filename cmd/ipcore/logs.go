package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"

	"github.com/ipcore/ipcore/core/profile"
)

type logsOptions struct {
	place
	lines int
}

func newLogs(a *app) *command {
	o := &logsOptions{}
	c := &command{
		name:  "logs",
		args:  "[controller | engines | supervisor] [-n LINES]",
		short: "show the last lines of a cluster's logs",
		long: `Show the last lines of the log files in the profile: of all of a cluster, or of its
controller, its engines or its supervisor.`,
		example: `ipcore logs
			ipcore logs engines -n 50`,
		flags: newFlags("logs"),
	}
	c.flags.IntVarP(&o.lines, "lines", "n", 10, "show this many `LINES` of each file")
	o.place.flags(c.flags)
	c.run = func(_ context.Context, args []string) error { return o.run(a, args) }
	return c
}

// logPrefixes are how the log files of each part begin.
var logPrefixes = map[string]string{"controller": "ipcontroller", "engines": "ipengine", "supervisor": "ipcluster"}

func (o *logsOptions) run(a *app, args []string) error {
	parts := []string{"supervisor", "controller", "engines"}
	if len(args) > 0 {
		parts = args
	}
	p, _, err := o.place.resolve()
	if err != nil {
		return err
	}
	found := 0
	for _, part := range parts {
		prefix, known := logPrefixes[part]
		if !known {
			return &usageError{text: fmt.Sprintf("unknown part %q", part), hint: "use controller, engines or supervisor"}
		}
		files, err := logFiles(p, prefix, o.clusterID)
		if err != nil {
			return err
		}
		for _, file := range files {
			text, err := lastLines(file, o.lines)
			if err != nil {
				return err
			}
			a.outf("==> %s <==\n%s", file, text)
			found++
		}
	}
	if found == 0 {
		a.errf("no logs in %s\n", p.LogDir())
	}
	return nil
}

// logFiles answers the log files of one part of a cluster, oldest first.
func logFiles(p profile.Profile, prefix, id string) ([]string, error) {
	middle := "-"
	switch {
	case id != "":
		middle = "-" + id + "-"
	case prefix == "ipengine":
		middle = "--" // upstream's form for the cluster without a name
	}
	// Behind the cluster's id there are numbers only: set, index, pid.
	form := regexp.MustCompile("^" + regexp.QuoteMeta(prefix+middle) + `[0-9-]+\.log$`)
	entries, err := os.ReadDir(p.LogDir())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("look for logs: %w", err)
	}
	type dated struct {
		path string
		time int64
	}
	var found []dated
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !form.MatchString(e.Name()) {
			continue
		}
		found = append(found, dated{filepath.Join(p.LogDir(), e.Name()), info.ModTime().UnixNano()})
	}
	sort.Slice(found, func(i, j int) bool { return found[i].time < found[j].time })
	files := make([]string, len(found))
	for i, f := range found {
		files[i] = f.path
	}
	return files, nil
}

// tailBytes is how much of a log file's end is looked at.
const tailBytes = 256 << 10

// lastLines answers the last lines of a file.
func lastLines(path string, n int) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read a log: %w", err)
	}
	defer f.Close() //nolint:errcheck // read only
	if info, err := f.Stat(); err == nil && info.Size() > tailBytes {
		if _, err := f.Seek(-tailBytes, io.SeekEnd); err != nil {
			return "", fmt.Errorf("read a log: %w", err)
		}
	}
	text, err := io.ReadAll(io.LimitReader(f, tailBytes))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	all := strings.Join(lines, "")
	if all != "" && !strings.HasSuffix(all, "\n") {
		all += "\n"
	}
	return all, nil
}
