package lsf

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/batch"
)

// Main is the program ipcore-launcher-lsf. It does not return.
func Main() { sdk.Serve(System.Info(""), System.New()) }

func directive(option string) *regexp.Regexp {
	return regexp.MustCompile(`(?m)^\s*#BSUB\s+(?:.*\s)?` + option + `\s*\S`)
}

// System is LSF.
var System = batch.System{
	Name: "lsf", Title: "LSF", Class: "LSF", Package: "LSF's client package",

	ShowJobs: []string{"bjobs", "-l", "-u", "all"},

	Submit: []string{"bsub"},
	Stdin:  true,
	// Else the output of a job stays on its node until the end.
	SubmitEnv: map[string]string{"LSB_STDOUT_DIRECT": "Y"},
	Delete:    []string{"bkill", "{id}"},
	Signal:    []string{"bkill", "-s", "{signal}", "{id}"},
	Query:     []string{"bjobs", "-w", "-p", "-r", "-s", "{ids}"},
	List:      []string{"bjobs", "-w", "-u", "{user}"},
	Lookup:    [][]string{{"bjobs", "-l", "{id}"}},

	// "Job <42> is submitted to queue <short>.", "... to default queue <normal>."
	JobID: regexp.MustCompile(`Job <(\d+)> is submitted`),
	Gone:  regexp.MustCompile(`is not found|No matching job found|No unfinished job found|No job found`),
	Ended: regexp.MustCompile(`Job has already finished|Operation is in progress`),
	Down:  regexp.MustCompile(`(?i)batch (?:system )?daemon not responding|LSF is down|is processing your request|Cannot connect to LSF|Failed in (?:an )?LSF library call|Communication time out|LIM is down|master is unknown`),

	Parse:       parseJobs,
	ParseLookup: func(_ int, _ string, out []byte) ([]batch.Record, error) { return parseLong(string(out)), nil },
	Element:     func(id string, index int) string { return fmt.Sprintf("%s[%d]", id, index) },

	Dialect: batch.Dialect{
		Shebang: "#!/bin/sh", Prefix: "#BSUB ",
		Directives: map[string]batch.Directive{
			batch.DirectiveArray: {Form: `-J "{name}[1-{n}]"`, Match: regexp.MustCompile(`(?m)^\s*#BSUB\s+(?:.*\s)?-J\s*\S*\[`)},
			"name":               {Form: "-J {value}", Match: directive("-J")},
			"queue":              {Form: "-q {value}", Match: directive("-q")},
			"account":            {Form: "-P {value}", Match: directive("-P")},
			"reservation":        {Form: "-U {value}", Match: directive("-U")},
			"time_limit":         {Form: "-W {value}", Match: directive("-W")},
			"output_file":        {Form: "-o {value}", Match: directive("-oo?")},
			"exclusive":          {Form: "-x", Match: regexp.MustCompile(`(?m)^\s*#BSUB\s+(?:.*\s)?-x(?:\s|$)`)},
			"app":                {Form: "-app {value}", Match: directive("-app")},
			"requirements":       {Form: `-R {value}`},
		},
		Combine:     combine,
		Index:       "$LSB_JOBINDEX",
		OutputIndex: "%I",
		Time:        minutes,
		Memory:      func(bytes int64) string { return fmt.Sprint((bytes + 1<<20 - 1) >> 20) },
	},
	Options: []sdk.Option{
		{Name: "app", Type: "string", Help: "application profile"},
		{Name: "requirements", Type: "string", Help: "resource requirements: select[type==any] rusage[scratch=10]"},
	},
}

// minutes writes a run limit, which LSF counts in minutes.
func minutes(t time.Duration) string {
	m := int((t + time.Minute - 1) / time.Minute)
	return fmt.Sprintf("%d:%02d", m/60, m%60)
}

// combine makes LSF's slots and resource requirements of nodes, processes, cores,
// memory and GPUs. An array has its name in the array's directive.
func combine(n *batch.Needs) ([]string, error) {
	if n.Layout == batch.LayoutArray {
		n.Name = ""
	}
	var lines []string
	per := max(1, n.Processes) * max(1, n.Cores)
	if n.Nodes > 1 && n.Processes == 0 {
		per *= n.Nodes // a process on each
	}
	if per > 1 {
		lines = append(lines, fmt.Sprintf("-n %d", per))
	}
	switch {
	case n.Nodes > 0 && per%n.Nodes != 0:
		return nil, fmt.Errorf("%w: %d slots (processes times cores) are not the same number on each of %d nodes", sdk.ErrBadOption, per, n.Nodes)
	case n.Nodes > 0 && per > 1:
		lines = append(lines, fmt.Sprintf(`-R "span[ptile=%d]"`, per/n.Nodes))
	case n.Cores > 1 && n.Processes <= 1:
		lines = append(lines, `-R "span[hosts=1]"`)
	case n.Cores > 1:
		lines = append(lines, fmt.Sprintf(`-R "span[ptile=%d]"`, n.Cores))
	}
	if n.Memory != "" {
		lines = append(lines, fmt.Sprintf(`-R "rusage[mem=%s]"`, n.Memory))
	}
	if n.GPUs > 0 {
		perHost := n.GPUs * max(1, n.Processes) / max(1, n.Nodes)
		lines = append(lines, fmt.Sprintf(`-gpu "num=%d"`, max(1, perHost)))
	}
	n.Nodes, n.Processes, n.Cores, n.GPUs, n.Memory = 0, 0, 0, 0, ""
	return lines, nil
}

// states maps LSF's names of states. A state that is not here is Unknown, such as UNKWN,
// a job on a host that does not respond.
var states = map[string]batch.JobState{
	"PEND": batch.Queued, "PSUSP": batch.Queued, "WAIT": batch.Queued, "FWD_PEND": batch.Queued,
	"RUN": batch.Running, "USUSP": batch.Running, "SSUSP": batch.Running, "PROV": batch.Running,
	"DONE": batch.Completed, "EXIT": batch.Failed, "ZOMBI": batch.Failed,
}

// words explain states other than plain waiting and running.
var words = map[string]string{
	"PSUSP": "suspended while pending", "USUSP": "suspended by its owner", "SSUSP": "suspended by LSF",
	"UNKWN": "its host does not answer", "ZOMBI": "killed while its host did not answer",
}

var elementForm = regexp.MustCompile(`^(.*)\[(\d+)\]$`)

// row makes a record of a line of "bjobs -w": columns as the header names them,
// a name that may have blanks, and a date of three words.
func row(header, fields []string) (batch.Record, bool) {
	at := map[string]int{}
	for i, h := range header {
		at[h] = i
	}
	name, ok := at["JOB_NAME"]
	if !ok || len(fields) < name+4 || strings.Trim(fields[0], "0123456789") != "" {
		return batch.Record{}, false
	}
	r := batch.Record{ID: fields[0], Index: -1, State: batch.Unknown, Code: -1}
	r.Name = strings.Join(fields[name:len(fields)-3], " ")
	if m := elementForm.FindStringSubmatch(r.Name); m != nil {
		r.Name = m[1]
		_, _ = fmt.Sscan(m[2], &r.Index) // digits; an index that overflows is not one of ours
	}
	word := fields[at["STAT"]]
	if s, ok := states[word]; ok {
		r.State = s
	}
	r.Reason = words[word]
	return r, true
}

// parseJobs reads "bjobs -w": a header, a line for each job or element, and with
// -p lines below that say why it is pending.
func parseJobs(out []byte) ([]batch.Record, error) {
	var all []batch.Record
	var header []string
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0:
		case fields[0] == "JOBID":
			header = fields
		case header == nil:
			return nil, fmt.Errorf("%.60q stands where the header should", strings.TrimSpace(line))
		case line[0] == ' ' || line[0] == '\t':
			if n := len(all) - 1; n >= 0 && all[n].State == batch.Queued && all[n].Reason == "" {
				all[n].Reason = strings.TrimRight(strings.TrimSpace(line), ";")
			}
		default:
			if r, ok := row(header, fields); ok && (!r.State.Ended() || r.State == batch.Completed) {
				all = append(all, r) // of those that failed the long form says how
			}
		}
	}
	return all, nil
}

var (
	jobForm    = regexp.MustCompile(`(?m)^Job <(\d+)(?:\[(\d+)\])?>`)
	statusForm = regexp.MustCompile(`Status <(\w+)>`)
	codeForm   = regexp.MustCompile(`Exited with exit code (\d+)`)
	signalForm = regexp.MustCompile(`Exited by (?:LSF )?signal (?:SIG)?(\w+)`)
	termForm   = regexp.MustCompile(`TERM_\w+(?:: [^.;]*)?`)
	reasonForm = regexp.MustCompile(`(?m)PENDING REASONS:\s*\n\s*(.*?);?\s*$`)
	wrapped    = regexp.MustCompile(`\n {21}`)
)

// parseLong reads "bjobs -l", whose lines are broken at column 80.
func parseLong(out string) []batch.Record {
	out = wrapped.ReplaceAllString(out, "")
	starts := jobForm.FindAllStringSubmatchIndex(out, -1)
	var all []batch.Record
	for i, m := range starts {
		end := len(out)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		text := out[m[0]:end]
		r := batch.Record{ID: out[m[2]:m[3]], Index: -1, State: batch.Unknown, Code: -1}
		if m[4] >= 0 {
			_, _ = fmt.Sscan(out[m[4]:m[5]], &r.Index) // digits; an index that overflows is not one of ours
		}
		word := first(statusForm, text)
		if s, ok := states[word]; ok {
			r.State = s
		}
		r.Reason = words[word]
		if r.State == batch.Queued && r.Reason == "" {
			r.Reason = strings.TrimSpace(first(reasonForm, text))
		}
		if r.State == batch.Failed {
			ended(&r, text)
		}
		all = append(all, r)
	}
	return all
}

// ended puts into a record how a job ended that did not end well.
func ended(r *batch.Record, text string) {
	if term := termForm.FindString(text); term != "" {
		r.Reason = term
		switch word, _, _ := strings.Cut(term, ":"); word {
		case "TERM_OWNER", "TERM_ADMIN", "TERM_FORCE_OWNER", "TERM_FORCE_ADMIN":
			r.State = batch.Cancelled
		}
	}
	if code := first(codeForm, text); code != "" {
		_, _ = fmt.Sscan(code, &r.Code) // digits
		if r.Code > 128 {
			r.Signal = batch.SignalName(r.Code - 128) // as a shell encodes it
		}
	} else if s := first(signalForm, text); s != "" {
		var number int
		if _, err := fmt.Sscan(s, &number); err == nil {
			s = batch.SignalName(number)
		} else {
			s = "SIG" + s
		}
		r.Signal = s
	}
	if r.Signal != "" {
		r.Code = -1
	}
}

func first(form *regexp.Regexp, text string) string {
	if m := form.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}
