package winhpc

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/batch"
)

// Main is the program ipcore-launcher-winhpc. It does not return.
func Main() { sdk.Serve(System.Info(""), System.New()) }

// System is Windows HPC. Its commands get the program and the head node from the
// options.
var System = batch.System{
	Name: "winhpc", Title: "Windows HPC", Class: "WindowsHPC", Package: "HPC Pack's client utilities",

	Submit: []string{"job", "submit", "/jobfile:{script}"},
	Delete: []string{"job", "cancel", "{id}"},
	Query:  []string{"job", "list"},
	Lookup: [][]string{
		{"job", "view", "{id}", "/detailed:true"},
		{"job", "listtasks", "{id}"},
		{"job", "view", "{id}"},
	},

	// "Job has been submitted. ID: 13."
	JobID: regexp.MustCompile(`\bID: *(\d+)`),
	Gone:  regexp.MustCompile(`(?i)was not found|job ID is not valid`),
	Ended: regexp.MustCompile(`(?i)because it is in the \w+ state|is already (?:finished|failed|canceled)`),
	Down:  regexp.MustCompile(`(?i)Failed to connect|connection could not be made|could not connect|timed out|actively refused|unreachable`),

	Parse:       parseList,
	ParseLookup: parseLookup,
	Adapt:       adapt,

	Dialect: batch.Dialect{
		// So that the options are taken; compose puts them into the XML.
		Directives: map[string]batch.Directive{
			batch.DirectiveArray: {Match: regexp.MustCompile(`(?s)<Task\b.*<Task\b`)},
			"name":               {Match: regexp.MustCompile(`<Job\b[^>]*\bName=`)},
		},
		NameLength: 80,
		Compose:    compose,
		Time:       func(t time.Duration) string { return strconv.Itoa(int((t + time.Second - 1) / time.Second)) },
		Memory:     func(bytes int64) string { return strconv.FormatInt((bytes+1<<20-1)>>20, 10) },
	},
	Options: []sdk.Option{
		{Name: "scheduler", Type: "string", Help: "head node; $CCP_SCHEDULER when it is not given"},
		{Name: "job_cmd", Type: "string", Default: json.RawMessage(`"job"`), Help: "the program job.exe"},
		{Name: "priority", Type: "string", Default: json.RawMessage(`"Highest"`), Help: "Lowest, BelowNormal, Normal, AboveNormal or Highest"},
		{Name: "username", Type: "string", Help: "DOMAIN\\user that owns the job; who submits it when it is not given"},
		{Name: "requested_nodes", Type: "string", Help: "nodes that may be used, separated by commas"},
	},
}

// adapt puts the program and the head node into the commands.
func adapt(s *batch.System, o *batch.Settings, _ batch.Runner) error {
	program, scheduler := o.StringOption("job_cmd"), o.StringOption("scheduler")
	complete := func(words []string) []string {
		words = slices.Clone(words)
		if program != "" {
			words[0] = program
		}
		if scheduler != "" {
			words = append(words, "/scheduler:"+scheduler)
		}
		return words
	}
	s.Submit, s.Delete, s.Query = complete(s.Submit), complete(s.Delete), complete(s.Query)
	lookup := make([][]string, len(s.Lookup))
	for i := range s.Lookup {
		lookup[i] = complete(s.Lookup[i])
	}
	s.Lookup = lookup
	return nil
}

// states are Windows HPC's words for jobs and tasks.
var states = map[string]batch.JobState{
	"configuring": batch.Queued, "submitted": batch.Queued, "validating": batch.Queued, "externalvalidation": batch.Queued,
	"queued": batch.Queued, "dispatching": batch.Queued,
	"running": batch.Running, "finishing": batch.Running, "canceling": batch.Running,
	"finished": batch.Completed, "failed": batch.Failed, "canceled": batch.Cancelled,
}

// record makes a record of a state.
func record(id string, index int, name, state string) batch.Record {
	r := batch.Record{ID: id, Index: index, Name: name, State: batch.Unknown, Code: -1}
	if s, ok := states[strings.ToLower(state)]; ok {
		r.State = s
	}
	if r.State == batch.Completed {
		r.Code = 0
	}
	return r
}

// parseList reads "job list": a line for each job that is not over, beginning with
// its id. Of jobs that run nothing is concluded here: their tasks are asked for.
func parseList(out []byte) ([]batch.Record, error) {
	if !strings.Contains(strings.ToLower(string(out)), "job") {
		return nil, fmt.Errorf("%.80q is not a list of jobs", strings.TrimSpace(string(out)))
	}
	var all []batch.Record
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) < 4 || strings.Trim(fields[0], "0123456789") != "" {
			continue
		}
		at := slices.IndexFunc(fields, func(f string) bool { return states[strings.ToLower(f)] != "" })
		if at < 3 {
			continue
		}
		all = append(all, record(fields[0], -1, strings.Join(fields[2:at], " "), fields[at]))
	}
	return all, nil
}

var (
	propertyForm = regexp.MustCompile(`(?m)^(\S[^:\r\n]*?)\s*:[ \t]*(.*?)\s*$`)
	blockForm    = regexp.MustCompile(`(?m)^Task (\d+)\.(\d+)\b`)
	taskForm     = regexp.MustCompile(`(?m)^\s*(\d+)\.(\d+)\s.*$`)
)

// properties reads "Name : value" lines.
func properties(text string) map[string]string {
	all := map[string]string{}
	for _, m := range propertyForm.FindAllStringSubmatch(text, -1) {
		if _, ok := all[m[1]]; !ok {
			all[m[1]] = m[2]
		}
	}
	return all
}

// parseLookup reads what the commands of Lookup say of a job.
func parseLookup(i int, id string, out []byte) ([]batch.Record, error) {
	text := string(out)
	switch i {
	case 0:
		return parseDetails(id, text), nil
	case 1:
		return parseTasks(id, text), nil
	}
	if state := properties(text)["State"]; state != "" {
		return []batch.Record{record(id, -1, "", state)}, nil
	}
	return nil, nil
}

// parseDetails reads "job view /detailed": the job, then each task with its exit
// code. What is still open when the job is over ended with it.
func parseDetails(id, text string) []batch.Record {
	starts := blockForm.FindAllStringSubmatchIndex(text, -1)
	if len(starts) == 0 {
		return nil
	}
	var all []batch.Record
	for i, m := range starts {
		end := len(text)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		index, err := strconv.Atoi(text[m[4]:m[5]])
		if err != nil || text[m[2]:m[3]] != id {
			continue
		}
		p := properties(text[m[1]:end])
		r := record(id, index, "", p["State"])
		if code, err := strconv.Atoi(p["Exit Code"]); err == nil && r.State.Ended() {
			r.Code = code
		}
		if r.State == batch.Failed {
			r.Reason = p["Error Message"]
		}
		all = append(all, r)
	}
	job := properties(text[:starts[0][0]])
	if whole := record(id, -1, "", job["State"]); whole.State.Ended() && whole.State != batch.Completed {
		whole.Reason = job["Error Message"]
		all = append(all, whole)
	}
	return all
}

// parseTasks reads "job listtasks": a line for each task, beginning with its id.
func parseTasks(id, text string) []batch.Record {
	var all []batch.Record
	for _, m := range taskForm.FindAllStringSubmatch(text, -1) {
		index, err := strconv.Atoi(m[2])
		fields := strings.Fields(m[0])
		at := slices.IndexFunc(fields, func(f string) bool { return states[strings.ToLower(f)] != "" })
		if err == nil && m[1] == id && at > 0 {
			all = append(all, record(id, index, "", fields[at]))
		}
	}
	return all
}
