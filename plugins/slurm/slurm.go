package slurm

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/batch"
)

// Main is the program ipcore-launcher-slurm. It does not return.
func Main() { sdk.Serve(System.Info(""), System.New()) }

// columns are the columns that squeue prints. Their widths are fixed, so that every
// version of squeue prints the same.
var columns = batch.Columns{
	{Name: "JobArrayID", Width: 64}, {Name: "State", Width: 24}, {Name: "exit_code", Width: 16},
	{Name: "Name", Width: 208}, {Name: "Comment", Width: 64}, {Name: "Reason", Width: 96},
}

func squeue(args ...string) []string {
	return append([]string{"squeue", "--noheader", "--array", "--Format=" + columns.Format()}, args...)
}

// directive returns an expression that finds a directive in a script. options are the
// ways to write its option: "--partition", "-p".
func directive(options ...string) *regexp.Regexp {
	for i, o := range options {
		if strings.HasPrefix(o, "--") {
			options[i] += `(?:[=\s]|$)`
		}
	}
	return regexp.MustCompile(`(?m)^#SBATCH\s+(?:.*\s)?(?:` + strings.Join(options, "|") + `)`)
}

// System is Slurm.
var System = batch.System{
	Name: "slurm", Title: "Slurm", Class: "Slurm", Package: "Slurm's client package",

	ShowJobs: []string{"scontrol", "show", "job", "-dd"},

	Submit:      []string{"sbatch", "--parsable"},
	Delete:      []string{"scancel", "{id}"},
	Signal:      []string{"scancel", "--full", "--signal={signal}", "{id}"},
	Query:       squeue("--states=all", "--jobs={ids}"),
	IDSeparator: ",",
	List:        squeue("--user={user}"),
	Lookup: [][]string{
		{"sacct", "--noheader", "--parsable2", "--allocations", "--jobs={id}", "--format=JobID,State,ExitCode,JobName"},
		{"scontrol", "--oneliner", "show", "job", "{id}"},
	},
	Check: []string{"sbatch", "--test-only"},

	// "42", with clusters "42;cluster", or without --parsable "Submitted batch job 42".
	JobID: regexp.MustCompile(`(?m)^(?:Submitted batch job )?(\d+)(?:;\S+)?\s*$`),
	Gone:  regexp.MustCompile(`Invalid job id specified`),
	Ended: regexp.MustCompile(`already completing or completed`),
	Down:  regexp.MustCompile(`(?i)Unable to contact slurm controller|slurm_persist_conn_open|Connection refused|Socket timed out|Zero Bytes were transmitted|communication connection failure|in standby mode`),

	Parse:       parseQueue,
	ParseLookup: parseLookup,
	Element:     func(id string, index int) string { return fmt.Sprintf("%s_%d", id, index) },

	Dialect: batch.Dialect{
		Shebang: "#!/bin/sh", Prefix: "#SBATCH ",
		Always: []string{"--export=ALL"},
		Directives: map[string]batch.Directive{
			batch.DirectiveArray: {Form: "--array=1-{n}", Match: directive("--array", "-a")},
			batch.DirectiveTasks: {Form: "--ntasks={n}", Match: directive("--ntasks", "-n")},
			"name":               {Form: "--job-name={value}", Match: directive("--job-name", "-J")},
			batch.DirectiveTag:   {Form: "--comment={value}", Match: directive("--comment")},
			"queue":              {Form: "--partition={value}", Match: directive("--partition", "-p")},
			"account":            {Form: "--account={value}", Match: directive("--account", "-A")},
			"qos":                {Form: "--qos={value}", Match: directive("--qos", "-q")},
			"timelimit":          {Form: "--time={value}", Match: directive("--time", "-t")},
			"time_limit":         {Form: "--time={value}", Match: directive("--time", "-t")},
			"nodes":              {Form: "--nodes={value}", Match: directive("--nodes", "-N")},
			"processes":          {Form: "--ntasks={value}", Match: directive("--ntasks", "-n")},
			"cores":              {Form: "--cpus-per-task={value}", Match: directive("--cpus-per-task", "-c")},
			"gpus":               {Form: "--gres=gpu:{value}", Match: directive("--gres", "--gpus", "-G")},
			"memory":             {Form: "--mem={value}", Match: directive("--mem", "--mem-per-cpu")},
			"exclusive":          {Form: "--exclusive", Match: directive("--exclusive")},
			"reservation":        {Form: "--reservation={value}", Match: directive("--reservation")},
			"output_file":        {Form: "--output={value}", Match: directive("--output", "-o")},
		},
		Index: "$SLURM_ARRAY_TASK_ID", OutputIndex: "%a",
		EscapeOutput: func(path string) string { return strings.ReplaceAll(path, "%", "%%") },
		TaskRunner:   []string{"srun"},
		Time:         writeTime,
	},
	Options: []sdk.Option{
		{Name: "qos", Type: "string", Help: "quality of service"},
		{Name: "timelimit", Type: "string", Help: "time limit as Slurm writes it: minutes, or hours:minutes:seconds"},
		{Name: "options", Type: "string", Help: "further options for sbatch, added to its command line"},
	},
	Adapt: adapt,
}

// adapt checks Slurm's own options, and adds "options" to sbatch's command line.
func adapt(s *batch.System, o *batch.Settings, _ batch.Runner) error {
	if o.StringOption("timelimit") != "" && o.TimeLimit != "" {
		return fmt.Errorf("%w: timelimit and time_limit are both given", sdk.ErrBadOption)
	}
	if o.Processes > 0 && o.Layout == batch.LayoutTasks {
		return fmt.Errorf("%w: processes is %d, and with layout=tasks it is the number of engines", sdk.ErrBadOption, o.Processes)
	}
	if words := strings.Fields(o.StringOption("options")); len(words) > 0 && o.BatchTemplate == "" && o.BatchTemplateFile == "" {
		s.Submit = append(append([]string(nil), s.Submit...), words...)
	}
	return nil
}

// writeTime formats a time limit as days-hours:minutes:seconds, rounded up to a second.
func writeTime(d time.Duration) string {
	d = (d + time.Second - 1).Truncate(time.Second)
	return fmt.Sprintf("%d-%02d:%02d:%02d", int(d.Hours())/24, int(d.Hours())%24, int(d.Minutes())%60, int(d.Seconds())%60)
}
