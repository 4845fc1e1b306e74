package htcondor

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/batch"
)

// Main is the program ipcore-launcher-htcondor. It does not return.
func Main() { sdk.Serve(System.Info(""), System.New()) }

func ask(command ...string) []string { return slices.Concat(command, []string{"-af:t"}, attributes) }

func setting(name string) *regexp.Regexp {
	return regexp.MustCompile(`(?mi)^\s*` + name + `\s*=`)
}

// policy are settings of every description. A process that ignores SIGTERM is
// killed after ten seconds; machines wait for ten minutes. Held for ever would be a
// job whose script can't be executed (6), whose files can't be opened (7 to 10) or
// carried (12, 13), whose folder is not there (14), or that took more memory or time
// than it asked for (34, 46, 47): it is removed, so that it ends.
var policy = []string{
	"job_max_vacate_time = 10",
	"periodic_remove = JobStatus == 5 && member(HoldReasonCode, {6, 7, 8, 9, 10, 12, 13, 14, 34, 46, 47})",
}

var firstIndex = 0

// System is HTCondor.
var System = batch.System{
	Name: "htcondor", Title: "HTCondor", Class: "HTCondor", Package: "HTCondor",

	ShowJobs: []string{"condor_q", "-all", "-long"},

	Submit: []string{"condor_submit", "{script}"},
	Delete: []string{"condor_rm", "{id}"},
	Query:  ask("condor_q", "{ids}"),
	List:   ask("condor_q", "{user}"),
	Lookup: [][]string{ask("condor_history", "{id}")},
	// The history may be off, late or elsewhere; the queue knows what is not over.
	QueryIsComplete: true,

	// "Submitting job(s)....\n4 job(s) submitted to cluster 3."
	JobID: regexp.MustCompile(`submitted to cluster (\d+)\.`),
	Gone:  regexp.MustCompile(`Couldn't find/remove all jobs in cluster|Job \S+ not found`),
	Ended: regexp.MustCompile(`Job \S+ already `),
	Down:  regexp.MustCompile(`(?i)Can't (?:find|connect to)|Failed to (?:connect|fetch ads)|communication error|CEDAR:\d+`),

	Parse:       parseQueue,
	ParseLookup: parseHistory,
	Element:     func(id string, index int) string { return fmt.Sprintf("%s.%d", id, index) },

	Dialect: batch.Dialect{
		Directives: map[string]batch.Directive{
			batch.DirectiveArray: {Form: "queue {n}", Match: regexp.MustCompile(`(?mi)^\s*queue\s+\S`)},
			"name":               {Form: "batch_name = {value}", Match: setting("(?:batch_name|JobBatchName)")},
			"output_file":        {Form: "output = {value}", Match: setting("output")},
			"account":            {Form: "accounting_group = {value}"},
			"cores":              {Form: "request_cpus = {value}"},
			"gpus":               {Form: "request_gpus = {value}"},
			"memory":             {Form: "request_memory = {value}"}, // MiB
			"time_limit":         {Form: "allowed_job_duration = {value}"},
		},
		FirstIndex:      &firstIndex,
		OutputIndex:     "$(Process)",
		Compose:         compose,
		RunsShellScript: true,
		Always:          policy,
		InheritedEnv:    []string{"PATH", "HOME", "LANG", "LD_LIBRARY_PATH"},
		Time:            func(t time.Duration) string { return strconv.Itoa(int((t + time.Second - 1) / time.Second)) },
		Memory:          func(bytes int64) string { return strconv.FormatInt((bytes+1<<20-1)>>20, 10) },
	},
	Options: []sdk.Option{
		{Name: "requirements", Type: "string", Help: "which machines will do, as a ClassAd expression"},
		{Name: "universe", Type: "string", Help: "universe of the jobs; vanilla when it is not given"},
	},
}
