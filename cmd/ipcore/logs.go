package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ipcore/ipcore/cmd/ipcore/internal/cli"
	"github.com/ipcore/ipcore/core/launch/clusterfile"
)

type logsOptions struct {
	cli.Target
	lines int
}

func newLogs(a *cli.App) *cli.Command {
	o := &logsOptions{}
	c := cli.NewCommand(&cobra.Command{
		Use:   "logs [controller | engines | supervisor] [-n LINES]",
		Short: "show the last lines of a cluster's logs",
		Long: `Show the last lines of the log files in the profile: of all parts of a cluster, or of its
controller, its engines or its supervisor.`,
		Example: `ipcore logs
			ipcore logs engines -n 50`,
		ValidArgsFunction: cli.FirstArgument("controller", "engines", "supervisor"),
		RunE:              func(_ *cobra.Command, args []string) error { return o.run(a, args) },
	})
	c.Flags().IntVarP(&o.lines, "lines", "n", 10, "show this many `LINES` of each file")
	o.AddFlags(c)
	return c
}

// logParts are the arguments that name the parts of a cluster.
var logParts = map[string]clusterfile.Part{"controller": clusterfile.Controllers, "engines": clusterfile.Engines, "supervisor": clusterfile.Supervisor}

func (o *logsOptions) run(a *cli.App, args []string) error {
	parts := []string{"supervisor", "controller", "engines"}
	if len(args) > 0 {
		parts = args
	}
	p, file, err := o.Resolve()
	if err != nil {
		return err
	}
	id := o.ClusterID
	if r, err := clusterfile.ReadRecord(file); err == nil && r.Extension.Joins != nil {
		id = *r.Extension.Joins // the logs are named after the cluster that the engines joined
	}
	found := 0
	for _, word := range parts {
		part, known := logParts[word]
		if !known {
			return cli.UsageError(fmt.Sprintf("unknown part %q", word), "use controller, engines or supervisor")
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
			a.Outf("==> %s <==\n%s", file, text)
			found++
		}
	}
	if found == 0 {
		a.Errf("no logs in %s\n", p.LogDir())
	}
	return nil
}

// tailBytes is how much of the end of a log file is read.
const tailBytes = 256 << 10

// lastLines returns the last n lines of a file.
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
