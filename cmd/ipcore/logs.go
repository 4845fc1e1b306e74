package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/ipcore/ipcore/core/launch/clusterfile"
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

// logParts are the words for the parts of a cluster.
var logParts = map[string]clusterfile.Part{"controller": clusterfile.Controllers, "engines": clusterfile.Engines, "supervisor": clusterfile.Supervisor}

func (o *logsOptions) run(a *app, args []string) error {
	parts := []string{"supervisor", "controller", "engines"}
	if len(args) > 0 {
		parts = args
	}
	p, file, err := o.place.resolve()
	if err != nil {
		return err
	}
	id := o.clusterID
	if r, err := clusterfile.ReadRecord(file); err == nil && r.Extension.Joins != nil {
		id = *r.Extension.Joins // the logs have the name of the cluster that the engines have joined
	}
	found := 0
	for _, word := range parts {
		part, known := logParts[word]
		if !known {
			return &usageError{text: fmt.Sprintf("unknown part %q", word), hint: "use controller, engines or supervisor"}
		}
		files, err := clusterfile.Logs(p, id, part)
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

// tailBytes is how much of a log file's end is looked at.
const tailBytes = 256 << 10

// lastLines answers the last lines of a file.
func lastLines(path string, n int) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read a log: %w", err)
	}
	defer f.Close()
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
