package pbs

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/ipcore/ipcore/sdk/batch"
)

// idForm is a job's id: "8.server", "8[].server", "8[3].server", Torque's "8-3".
var idForm = regexp.MustCompile(`^(\d+)(?:\[(\d*)\]|-(\d+))?(\..+)?$`)

// number returns the number of a job's id.
func number(id string) string {
	if m := idForm.FindStringSubmatch(id); m != nil {
		return m[1]
	}
	return id
}

// element returns the id of an element of an array.
func element(id string, index int) string {
	m := idForm.FindStringSubmatch(id)
	if m == nil {
		return id
	}
	return m[1] + "[" + strconv.Itoa(index) + "]" + m[4]
}

// exits are exit codes below zero, which mean that PBS ended the job or never ran
// it.
var exits = map[int]string{
	-1: "the job could not be started", -2: "the job could not be started", -3: "the job is to be started again",
	-4: "PBS was started anew", -8: "the node's files could not be written", -10: "the memory limit was reached",
	-11: "the job was started anew", -29: "the time limit was reached", -24: "the CPU time limit was reached",
}

// tabbed is an attribute of a qstat that indents by tabs.
var tabbed = regexp.MustCompile(`^\t[A-Za-z_][A-Za-z0-9_.]* = `)

// history matches the part of a comment that does not say how a job ended.
var history = regexp.MustCompile(`^Job run at .*? on \(.*?\)(?: and (?:finished$)?)?`)

// parse reads what qstat -f printed: an unindented line for each job, indented
// lines for its attributes, and continuation lines behind a tab.
func parse(out []byte) ([]batch.Record, error) {
	var all []batch.Record
	var attributes map[string]string
	var last string
	finish := func() error {
		if attributes == nil {
			return nil
		}
		r, err := record(attributes)
		if err == nil {
			all = append(all, r)
		}
		return err
	}
	for line := range strings.Lines(string(out)) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case strings.HasPrefix(line, "Job Id:"):
			if err := finish(); err != nil {
				return nil, err
			}
			attributes, last = map[string]string{"id": strings.TrimSpace(strings.TrimPrefix(line, "Job Id:"))}, ""
		case strings.TrimSpace(line) == "":
		case attributes == nil:
			return nil, fmt.Errorf("%.60q is not a line of qstat -f", line)
		case strings.HasPrefix(line, "\t") && last != "" && !tabbed.MatchString(line):
			attributes[last] += strings.TrimPrefix(line, "\t")
		default:
			name, value, ok := strings.Cut(line, "=")
			if !ok { // more of a value with line ends in it
				continue
			}
			last = strings.TrimSpace(name)
			attributes[last] = strings.TrimSpace(value)
		}
	}
	return all, finish()
}

// record returns the record of a job with these attributes.
func record(a map[string]string) (batch.Record, error) {
	m := idForm.FindStringSubmatch(a["id"])
	if m == nil {
		return batch.Record{}, fmt.Errorf("%.60q is not a job id", a["id"])
	}
	if a["job_state"] == "" {
		return batch.Record{}, errors.New("job " + a["id"] + " has no state")
	}
	r := batch.Record{ID: m[1], Handle: a["id"], Index: -1, Name: a["Job_Name"], State: batch.Unknown, Code: -1}
	if i, err := strconv.Atoi(m[2] + m[3]); err == nil {
		r.Index = i
	}
	for v := range strings.SplitSeq(a["Variable_List"], ",") {
		if tag, ok := strings.CutPrefix(v, "IPCORE_CLUSTER_TAG="); ok {
			r.Comment = tag
		}
	}
	comment := a["comment"]
	switch a["job_state"] {
	case "Q", "W", "T", "M":
		r.State, r.Reason = batch.Queued, comment
	case "H":
		r.State, r.Reason = batch.Queued, strings.TrimSuffix("held, "+comment, ", ")
	case "R", "B":
		r.State = batch.Running
	case "E":
		r.State, r.Reason = batch.Running, "ending"
	case "S", "U":
		r.State, r.Reason = batch.Running, "suspended"
	case "F", "X", "C":
		end(&r, a["Exit_status"], comment)
	}
	return r, nil
}

// signalOf returns the signal of an exit status: 256 plus the signal, or, from a shell,
// 128 plus the signal.
func signalOf(code int) (name string, ok bool) {
	if code > 256 {
		return batch.Signal(code - 256)
	}
	return batch.Signal(code - 128)
}

// end reads how a job ended.
func end(r *batch.Record, status, comment string) {
	comment = strings.TrimSpace(history.ReplaceAllString(comment, ""))
	r.Reason = comment
	code, err := strconv.Atoi(status)
	switch {
	case err != nil: // it never ran
		r.State = batch.Cancelled
		if r.Reason == "" {
			r.Reason = "it never ran"
		}
	case code == 0:
		r.State, r.Code, r.Reason = batch.Completed, 0, ""
	case code < 0:
		r.State = batch.Failed
		if text := exits[code]; text != "" {
			r.Reason = strings.TrimSuffix(text+", "+comment, ", ")
		} else {
			r.Reason = strings.TrimSuffix(fmt.Sprintf("Exit_status %d, %s", code, comment), ", ")
		}
	default:
		r.State, r.Code = batch.Failed, code
		if name, ok := signalOf(code); ok {
			r.Code, r.Signal = -1, name
		}
	}
	if strings.HasPrefix(comment, "terminated by ") { // somebody deleted it; it may have ended in order
		r.State, r.Code, r.Reason = batch.Cancelled, -1, comment
	}
}

// slurmStates are Slurm's words for what its wrappers of PBS run.
var slurmStates = map[string]batch.JobState{
	"PENDING": batch.Queued, "CONFIGURING": batch.Queued, "REQUEUED": batch.Queued,
	"RUNNING": batch.Running, "COMPLETING": batch.Running, "SUSPENDED": batch.Running,
	"COMPLETED": batch.Completed, "CANCELLED": batch.Cancelled, "PREEMPTED": batch.Cancelled,
	"FAILED": batch.Failed, "NODE_FAIL": batch.Failed, "TIMEOUT": batch.Failed, "OUT_OF_MEMORY": batch.Failed, "BOOT_FAIL": batch.Failed,
}

// squeueColumns are what parseSqueue reads.
var squeueColumns = batch.Columns{
	{Name: "ArrayJobID", Width: 24}, {Name: "ArrayTaskID", Width: 64}, {Name: "State", Width: 24},
	{Name: "exit_code", Width: 16}, {Name: "Reason", Width: 96}, {Name: "Name", Width: 208},
}

// parseSqueue reads what squeue says of jobs that the wrappers of PBS submitted:
// their own qstat does not know the elements of an array.
func parseSqueue(out []byte) ([]batch.Record, error) {
	var all []batch.Record
	for line := range strings.Lines(string(out)) {
		f := squeueColumns.Cut(line)
		if _, err := strconv.Atoi(f[0]); err != nil {
			return nil, fmt.Errorf("%.60q is not a line of squeue", line)
		}
		r := batch.Record{ID: f[0], Index: -1, State: batch.Unknown, Name: f[5], Code: -1}
		if i, err := strconv.Atoi(f[1]); err == nil {
			r.Index = i
		}
		if s, ok := slurmStates[f[2]]; ok {
			r.State = s
		}
		switch {
		case r.State == batch.Completed:
			r.Code = 0
		case r.State.Ended():
			r.Reason = f[2]
			if status, err := strconv.Atoi(f[3]); err == nil && status > 0 { // as wait returns it
				r.Code, r.Signal = batch.WaitStatus(status)
			}
		case r.State == batch.Queued && f[4] != "None":
			r.Reason = f[4]
		}
		all = append(all, r)
	}
	return all, nil
}
