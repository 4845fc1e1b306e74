package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/ipcore/ipcore/core/launch/cluster"
)

// screen shows the progress of a start: on a terminal a line that changes, else
// a line for each step.
type screen struct {
	*streams
	drawn bool
	have  int
	stage cluster.Stage
	wait  string // what was said last of engines that wait
}

var _ display = (*screen)(nil)

func newScreen(s *streams) *screen { return &screen{streams: s, have: -1} }

func (s *screen) progress(p cluster.Progress) {
	if p.Stage == cluster.StageNote {
		s.wipe()
		s.errf("%s\n", p.Note)
		return
	}
	if p.Stage == s.stage && p.Have == s.have && p.Waiting == s.wait {
		return
	}
	first, changed, said := s.stage == "", p.Stage != s.stage, p.Waiting != s.wait && p.Waiting != ""
	s.stage, s.have, s.wait = p.Stage, p.Have, p.Waiting
	switch {
	case s.Terminal && p.Stage == cluster.StageController:
		s.draw("starting the controller")
	case s.Terminal && p.Stage == cluster.StageEngines:
		line := fmt.Sprintf("engines %s %d of %d", bar(p.Have, p.N), p.Have, p.N)
		if p.Waiting != "" {
			line += "; " + p.Waiting
		}
		s.draw(line)
	case s.Terminal:
	case changed && p.Stage == cluster.StageController:
		s.errf("starting the controller\n")
	case first && p.Stage == cluster.StageEngines: // they join a controller
		s.errf("starting %s\n", count(p.N, "engine"))
	case changed && p.Stage == cluster.StageEngines:
		s.errf("the controller is ready; starting %s\n", count(p.N, "engine"))
	case said && p.Stage == cluster.StageEngines:
		s.errf("%d of %s; %s\n", p.Have, count(p.N, "engine"), p.Waiting)
	}
}

// barWidth is the width of the progress bar in columns.
const barWidth = 24

func bar(have, n int) string {
	done := barWidth
	if n > 0 {
		done = min(barWidth, barWidth*have/n)
	}
	return "[" + strings.Repeat("=", done) + strings.Repeat(" ", barWidth-done) + "]"
}

func (s *screen) draw(line string) {
	s.errf("\r\x1b[K%s", line)
	s.drawn = true
}

// wipe removes the changing line.
func (s *screen) wipe() {
	if s.drawn {
		s.errf("\r\x1b[K")
		s.drawn = false
	}
}

func (s *screen) ended() { s.wipe() }

// left names what a stop has left over.
func (s *screen) left(l cluster.Leftover) {
	for _, v := range l.Orphans {
		s.errf("left over: %s (%s, tag %s)\n", v.Text, v.Launcher, v.Tag)
	}
	for _, u := range l.Unasked {
		s.errf("can't tell what is left over: %s\n", u)
	}
}

func (s *screen) running(co cluster.Options, _ string, took time.Duration) {
	s.wipe()
	s.welcome(co, s.have, took)
	s.outf("Stop    Ctrl-C here, or: ipcore stop%s\n", argsFor(co.Profile, co.ID))
}

// welcome tells how to use a cluster that runs.
func (s *screen) welcome(co cluster.Options, have int, took time.Duration) {
	name := "Cluster"
	if co.ID != "" {
		name = fmt.Sprintf("Cluster %q", co.ID)
	}
	engines := count(co.N, "engine")
	if have < co.N {
		engines = fmt.Sprintf("%d of %s", have, engines)
	}
	if co.Join != nil {
		s.outf("%s is running with %s at the controller of cluster %s (%.1f s).\n\n", name, engines, idWord(*co.Join), took.Seconds())
		return
	}
	s.outf("%s is running with %s (%.1f s).\n\n", name, engines, took.Seconds())
	s.outf("Python  import ipyparallel as ipp\n        rc = ipp.Client(%s)\n", pythonArgs(co.Profile, co.ID))
	s.outf("Go      c, err := client.Connect(ctx, client.Options{File: %q})\n", clientFile(co.Profile, co.ID))
	s.outf("Shell   ipcore exec%s 'print(\"hello\")'\n", argsFor(co.Profile, co.ID))
}

// count writes a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
