package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/ipcore/ipcore/cmd/ipcore/internal/cli"
	"github.com/ipcore/ipcore/core/client"
	"github.com/ipcore/ipcore/core/launch/cluster"
	"github.com/ipcore/ipcore/core/launch/clusterfile"
)

// askLimit is how long the controller gets to answer a question about itself.
const askLimit = 5 * time.Second

type statusOptions struct {
	cli.ClusterOptions
	asJSON bool
}

func newStatus(a *cli.App) *cli.Command {
	o := &statusOptions{}
	c := cli.NewCommand(&cobra.Command{
		Use:   "status [--json]",
		Short: "show a cluster: its processes, engines and queues",
		Long: `Show one cluster: which of its parts are running, the engines that have registered, and how
many tasks are waiting and completed.`,
		Example: `ipcore status
			ipcore status --profile=cluster --json`,
		Args:              cli.NoArguments,
		ValidArgsFunction: cli.NoCompletion,
		RunE:              func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), a) },
	})
	c.Flags().BoolVar(&o.asJSON, "json", false, "print a JSON object")
	o.AddFlags(c, "error")
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

func (o *statusOptions) run(ctx context.Context, a *cli.App) error {
	p, file, log, err := o.Open(a.Streams)
	if err != nil {
		return err
	}
	s, err := cluster.Inspect(ctx, file, log)
	if err != nil {
		return cli.WithHint(err, otherClustersHint(p))
	}
	report := statusReport{row: rows([]*cluster.Status{s})[0], Registered: []engineRow{}}
	var askErr error
	if s.Controller || report.Joins != nil {
		if report.Joins != nil {
			o.ClusterID = *report.Joins
		}
		askErr = o.ask(ctx, &report)
	}
	if o.asJSON {
		return a.WriteJSON(report)
	}
	a.Outf("cluster     %s of profile %s\n", cli.QuoteID(report.ID), report.Profile)
	a.Outf("supervisor  %s\n", supervisorWord(s))
	if report.Joins != nil {
		a.Outf("controller  that of cluster %s\n", cli.QuoteID(*report.Joins))
	} else {
		a.Outf("controller  %s\n", runningWord(s.Controller))
	}
	a.Outf("engines     %d running, %d registered, %d asked for (%s)\n", s.Alive-waitingEngines(s), len(report.Registered), report.N, report.Launcher)
	for _, id := range slices.Sorted(maps.Keys(s.Sets)) {
		a.Outf("set         %s: %s\n", id, setWords(s.Sets[id]))
	}
	for _, e := range s.Record.Extension.Ended {
		a.Outf("ended       set %s at %s: %s\n", e.Set, e.When, e.Cause)
	}
	if askErr != nil {
		return fmt.Errorf("the controller does not answer: %w", askErr)
	}
	if !report.Answers {
		return nil
	}
	a.Outf("waiting     %s without an engine\n", cli.Count(report.Unassigned, "task"))
	if len(report.Registered) > 0 {
		a.Outf("\n")
		t := a.NewTable("ENGINE", "QUEUE", "TASKS", "COMPLETED", "UUID")
		for _, e := range report.Registered {
			t.Row(e.ID, e.Queue, e.Tasks, e.Completed, e.UUID)
		}
		return t.Flush()
	}
	return nil
}

// ask completes the report with what the controller knows.
func (o *statusOptions) ask(ctx context.Context, report *statusReport) error {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	c, err := o.Connect(ctx, nil)
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

// setWords returns what a launcher reported about an engine set.
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

// waitingEngines returns how many engines wait until the system starts them.
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
	return "not running (ipcore stop works anyway)"
}

func runningWord(running bool) string {
	if running {
		return "running"
	}
	return "not running"
}
