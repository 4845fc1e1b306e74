package main

import (
	"path/filepath"
	"strings"
)

// programs are upstream's names. Called by one of them, through a link or a
// copy, ipcore does that program's work and logs in its form.
var programs = map[string]struct{ command, log string }{
	"ipcontroller": {"controller", "IPControllerApp"},
	"ipengine":     {"engine", "IPEngineApp"},
	"ipcluster":    {"", "IPClusterStart"}, // the words that follow are commands of ours
}

// called answers the command line of a process with these arguments, of which
// the first is the name it was called by.
func (a *app) called(argv []string) []string {
	if len(argv) == 0 {
		return nil
	}
	args := argv[1:]
	name := strings.TrimSuffix(filepath.Base(argv[0]), ".exe")
	p, ok := programs[name]
	if !ok {
		return args
	}
	a.LogName = p.log
	if p.command == "" || len(args) > 0 && args[0] == "--version" {
		return args
	}
	return append([]string{p.command}, args...)
}
