package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/ipcore/ipcore/core/launch/cluster"
)

// Progress shows how a start or a wait proceeds: on a terminal in one line that
// changes, else in a line for each step.
type Progress struct {
	*Streams
	drawn   bool // the changing line is shown
	have    int  // engines, as shown last
	stage   cluster.Stage
	waiting string // the reason of waiting engines, as shown last
}

// NewProgress returns the progress of one start or wait.
func NewProgress(s *Streams) *Progress { return &Progress{Streams: s, have: -1} }

// Show shows a step.
func (p *Progress) Show(step cluster.Progress) {
	if step.Stage == cluster.StageNote {
		p.Clear()
		p.Errf("%s\n", step.Note)
		return
	}
	if step.Stage == p.stage && step.Have == p.have && step.Waiting == p.waiting {
		return
	}
	first, changed, newReason := p.stage == "", step.Stage != p.stage, step.Waiting != p.waiting && step.Waiting != ""
	p.stage, p.have, p.waiting = step.Stage, step.Have, step.Waiting
	switch {
	case p.Terminal && step.Stage == cluster.StageController:
		p.draw("starting the controller")
	case p.Terminal && step.Stage == cluster.StageEngines:
		line := fmt.Sprintf("engines %s %d of %d", bar(step.Have, step.N), step.Have, step.N)
		if step.Waiting != "" {
			line += "; " + step.Waiting
		}
		p.draw(line)
	case p.Terminal:
	case changed && step.Stage == cluster.StageController:
		p.Errf("starting the controller\n")
	case first && step.Stage == cluster.StageEngines: // they join a running controller
		p.Errf("starting %s\n", Count(step.N, "engine"))
	case changed && step.Stage == cluster.StageEngines:
		p.Errf("the controller is ready; starting %s\n", Count(step.N, "engine"))
	case newReason && step.Stage == cluster.StageEngines:
		p.Errf("%d of %s; %s\n", step.Have, Count(step.N, "engine"), step.Waiting)
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

func (p *Progress) draw(line string) {
	p.Errf("\r\x1b[K%s", line)
	p.drawn = true
}

// Clear removes the changing line.
func (p *Progress) Clear() {
	if p.drawn {
		p.Errf("\r\x1b[K")
		p.drawn = false
	}
}

// Leftover names what a stop could not remove.
func (p *Progress) Leftover(l cluster.Leftover) {
	for _, o := range l.Orphans {
		p.Errf("left over: %s (%s, tag %s)\n", o.Text, o.Launcher, o.Tag)
	}
	for _, u := range l.Unasked {
		p.Errf("it is not known what is left over: %s\n", u)
	}
}

// Running says how to use a cluster that runs in the foreground, and how to stop it.
func (p *Progress) Running(co cluster.Options, _ string, took time.Duration) {
	p.Clear()
	p.Welcome(co, p.have, took)
	p.Outf("Stop    Ctrl-C here, or: ipcore stop%s\n", OptionsFor(co.Profile, co.ID))
}

// Welcome says how to use a cluster that runs with so many engines.
func (p *Progress) Welcome(co cluster.Options, have int, took time.Duration) {
	name := "Cluster"
	if co.ID != "" {
		name = fmt.Sprintf("Cluster %q", co.ID)
	}
	engines := Count(co.N, "engine")
	if have < co.N {
		engines = fmt.Sprintf("%d of %s", have, engines)
	}
	if co.Join != nil {
		p.Outf("%s is running with %s at the controller of cluster %s (%.1f s).\n\n", name, engines, QuoteID(*co.Join), took.Seconds())
		return
	}
	p.Outf("%s is running with %s (%.1f s).\n\n", name, engines, took.Seconds())
	p.Outf("Python  import ipyparallel as ipp\n        rc = ipp.Client(%s)\n", pythonArguments(co.Profile, co.ID))
	p.Outf("Go      c, err := client.Connect(ctx, client.Options{File: %q})\n", ClientFile(co.Profile, co.ID))
	p.Outf("Shell   ipcore exec%s 'print(\"hello\")'\n", OptionsFor(co.Profile, co.ID))
}
