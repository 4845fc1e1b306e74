package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/ipcore/ipcore/core/launch/clusterfile"

	"github.com/ipcore/ipcore/core/client"
	"github.com/ipcore/ipcore/core/launch/cluster"
)

// askLimit is how long the controller gets to answer a question about itself.
const askLimit = 5 * time.Second

type statusOptions struct {
	place
	verbosity
	asJSON bool
}

func newStatus(a *app) *command {
	o := &statusOptions{}
	c := &command{
		name:  "status",
		args:  "[--json]",
		short: "show a cluster: its processes, engines and queues",
		long: `Show one cluster: what of it is running, the engines that have registered, and how many
tasks wait and were done.`,
		example: `ipcore status
			ipcore status --profile=cluster --json`,
		flags: newFlags("status"),
	}
	o.place.flags(c.flags)
	c.flags.BoolVar(&o.asJSON, "json", false, "print a JSON object")
	o.verbosity.flags(c.flags, "error")
	c.run = func(ctx context.Context, args []string) error {
		if err := noArguments(args); err != nil {
			return err
		}
		return o.run(ctx, a)
	}
	return c
}

// statusReport is what status prints.
type statusReport struct {
	row
	Registered []engineRow `json:"registered"`
	Unassigned int         `json:"unassigned"`
	Answers    bool        `json:"controller_answers"`
}

// engineRow is one registered engine.
type engineRow struct {
	ID   int    `json:"id"`
	UUID string `json:"uuid"`
	client.EngineQueue
}

func (o *statusOptions) run(ctx context.Context, a *app) error {
	p, file, err := o.place.resolve()
	if err != nil {
		return err
	}
	log, err := o.logger(a.streams, "ipcore")
	if err != nil {
		return err
	}
	s, err := cluster.Inspect(ctx, file, log)
	if err != nil {
		return &hintedError{err: err, hint: othersHint(p)}
	}
	report := statusReport{row: rows([]*cluster.Status{s})[0], Registered: []engineRow{}}
	var askErr error
	if s.Controller || report.Joins != nil {
		if report.Joins != nil {
			o.clusterID = *report.Joins
		}
		askErr = o.ask(ctx, &report)
	}
	if o.asJSON {
		return writeJSON(a.Out, report)
	}
	a.outf("cluster     %s of profile %s\n", idWord(report.ID), report.Profile)
	a.outf("supervisor  %s\n", supervisorWord(s))
	if report.Joins != nil {
		a.outf("controller  that of cluster %s\n", idWord(*report.Joins))
	} else {
		a.outf("controller  %s\n", runningWord(s.Controller))
	}
	a.outf("engines     %d running, %d registered, %d asked for (%s)\n", s.Alive-waitingEngines(s), len(report.Registered), report.N, report.Launcher)
	for _, id := range slices.Sorted(maps.Keys(s.Sets)) {
		a.outf("set         %s: %s\n", id, setWords(s.Sets[id]))
	}
	for _, e := range s.Record.Extension.Ended {
		a.outf("ended       set %s at %s: %s\n", e.Set, e.When, e.Cause)
	}
	if askErr != nil {
		return fmt.Errorf("the controller does not answer: %w", askErr)
	}
	if !report.Answers {
		return nil
	}
	a.outf("waiting     %s without an engine\n", count(report.Unassigned, "task"))
	if len(report.Registered) > 0 {
		a.outf("\n%6s %6s %6s %9s  %s\n", "ENGINE", "QUEUE", "TASKS", "COMPLETED", "UUID")
		for _, e := range report.Registered {
			a.outf("%6d %6d %6d %9d  %s\n", e.ID, e.Queue, e.Tasks, e.Completed, e.UUID)
		}
	}
	return nil
}

// ask completes the report with what the controller says.
func (o *statusOptions) ask(ctx context.Context, report *statusReport) error {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	c, err := o.place.connect(ctx, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	queues, err := c.QueueStatus(ctx, nil)
	if err != nil {
		return err
	}
	engines := c.Engines()
	for _, id := range slices.Sorted(maps.Keys(engines)) {
		report.Registered = append(report.Registered, engineRow{ID: id, UUID: engines[id], EngineQueue: queues.Engines[id]})
	}
	report.Unassigned, report.Answers = queues.Unassigned, true
	return nil
}

// setWords says what a launcher said of a set.
func setWords(st clusterfile.WorkloadStatus) string {
	text := st.State
	if st.Running != nil && st.Total != nil {
		text += fmt.Sprintf(", %d of %d run", *st.Running, *st.Total)
	}
	if w := st.Waiting(); w != "" {
		return text + "; " + w
	}
	if st.Text != "" {
		text += "; " + st.Text
	}
	return text
}

// waitingEngines counts the engines that wait for their turn.
func waitingEngines(s *cluster.Status) int {
	n := 0
	for _, st := range s.Sets {
		if st.Pending != nil {
			n += *st.Pending
		}
	}
	return n
}

func supervisorWord(s *cluster.Status) string {
	if s.Supervised {
		return fmt.Sprintf("process %d", s.Record.Extension.Supervisor.PID)
	}
	return "not running (ipcore stop works all the same)"
}

func runningWord(running bool) string {
	if running {
		return "running"
	}
	return "not running"
}
