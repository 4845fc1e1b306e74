package main

import (
	"path/filepath"
	"strings"

	"github.com/ipcore/ipcore/cmd/ipcore/internal/cli"
)

// programs are the names of IPython Parallel's programs. Called by one of them,
// through a link or a copy, ipcore runs as that program and logs in its form.
var programs = map[string]struct{ command, log string }{
	"ipcontroller": {"controller", "IPControllerApp"},
	"ipengine":     {"engine", "IPEngineApp"},
	"ipcluster":    {"", "IPClusterStart"}, // its subcommands are commands of ours
}

// arguments returns the command line of a process. The first element of argv is the
// name that the process was called by; it may also set the form of log lines.
func arguments(s *cli.Streams, argv []string) []string {
	if len(argv) == 0 {
		return nil
	}
	args := argv[1:]
	name := strings.TrimSuffix(filepath.Base(argv[0]), ".exe")
	p, ok := programs[name]
	if !ok {
		return args
	}
	s.LogName = p.log
	if p.command == "" || len(args) > 0 && args[0] == "--version" {
		return args
	}
	return append([]string{p.command}, args...)
}
