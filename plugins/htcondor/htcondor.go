package htcondor

import (
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/batch"
)

// Version is the launcher's own version.
const Version = "1.0.0"

// attributes are what condor_q and condor_history are asked for. Text that may
// have blanks is last.
var attributes = []string{"ClusterId", "ProcId", "JobStatus", "ExitCode", "ExitSignal", "JobBatchName"}

func ask(command []string, reason string) []string {
	words := append(append([]string(nil), command...), "-af")
	return append(append(words, attributes...), reason)
}

func setting(name string) *regexp.Regexp {
	return regexp.MustCompile(`(?mi)^\s*` + name + `\s*=`)
}

var firstIndex = 0

// System is HTCondor.
var System = batch.System{
	Name: "htcondor", Title: "HTCondor", Class: "HTCondor", Package: "HTCondor",

	Submit: []string{"condor_submit", "{script}"},
	Delete: []string{"condor_rm", "{id}"},
	Query:  ask([]string{"condor_q", "{ids}"}, "HoldReason"),
	List:   ask([]string{"condor_q", "{user}"}, "HoldReason"),
	Lookup: [][]string{ask([]string{"condor_history", "{id}"}, "RemoveReason")},
	// The history may be off, late or elsewhere; the queue knows what is not over.
	QueryKnows: true,

	// "Submitting job(s)....\n4 job(s) submitted to cluster 3."
	JobID: regexp.MustCompile(`submitted to cluster (\d+)\.`),
	Gone:  regexp.MustCompile(`Couldn't find/remove all jobs in cluster|Job \S+ not found`),
	Ended: regexp.MustCompile(`Job \S+ already `),
	Down:  regexp.MustCompile(`(?i)Can't (?:find|connect to)|Failed to (?:connect|fetch ads)|communication error|CEDAR:\d+`),

	Parse:       parseAds,
	ParseLookup: func(_ int, _ string, out []byte) ([]batch.Record, error) { return parseAds(out) },
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
		FirstIndex:  &firstIndex,
		OutputIndex: "$(Process)",
		Compose:     compose,
		Time:        func(t time.Duration) string { return strconv.Itoa(int((t + time.Second - 1) / time.Second)) },
		Memory:      func(bytes int64) string { return strconv.FormatInt((bytes+1<<20-1)>>20, 10) },
	},
	Options: []sdk.Option{
		{Name: "requirements", Type: "string", Help: "which machines will do, as a ClassAd expression"},
		{Name: "universe", Type: "string", Help: "universe of the jobs; vanilla when it is not given"},
	},
}
