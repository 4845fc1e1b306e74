package slurm

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/ipcore/ipcore/sdk/batch"
)

// states maps Slurm's names of states. A state that is not here is Unknown.
var states = map[string]batch.JobState{
	"PENDING": batch.Queued, "CONFIGURING": batch.Queued, "REQUEUED": batch.Queued, "REQUEUE_FED": batch.Queued,
	"REQUEUE_HOLD": batch.Queued, "RESV_DEL_HOLD": batch.Queued, "SPECIAL_EXIT": batch.Queued, "POWER_UP_NODE": batch.Queued,

	"RUNNING": batch.Running, "COMPLETING": batch.Running, "SUSPENDED": batch.Running, "STOPPED": batch.Running,
	"SIGNALING": batch.Running, "RESIZING": batch.Running, "STAGE_OUT": batch.Running, "STAGING_OUT": batch.Running,

	"COMPLETED": batch.Completed,

	"FAILED": batch.Failed, "NODE_FAIL": batch.Failed, "BOOT_FAIL": batch.Failed, "TIMEOUT": batch.Failed,
	"OUT_OF_MEMORY": batch.Failed, "DEADLINE": batch.Failed, "LAUNCH_FAILED": batch.Failed, "RECONFIG_FAIL": batch.Failed,

	"CANCELLED": batch.Cancelled, "PREEMPTED": batch.Cancelled, "REVOKED": batch.Cancelled,
}

// idForm matches a job's id as squeue --array and sacct write it: "42", "42_3",
// "42_[5-9%2]", "42+1".
var idForm = regexp.MustCompile(`^(\d+)(?:_(\d+|\[[^\]]*\]?\.*))?(?:\+\d+)?$`)

// parseQueue parses the output of squeue.
func parseQueue(out []byte) ([]batch.Record, error) {
	var all []batch.Record
	for n, line := range strings.Split(string(out), "\n") {
		if strings.TrimSpace(line) == "" {
			continue
		}
		if strings.HasPrefix(line, "CLUSTER:") {
			continue
		}
		fields := columns.Cut(line)
		r, err := record(fields[0], fields[1], fields[3], fields[5])
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n+1, err)
		}
		if r.State.Ended() {
			r.Code, r.Signal = exitCode(fields[2])
		}
		if r.Comment = fields[4]; r.Comment == "(null)" {
			r.Comment = ""
		}
		all = append(all, r)
	}
	return all, nil
}

// record returns a record with the values that both squeue and sacct print.
func record(id, state, name, reason string) (batch.Record, error) {
	m := idForm.FindStringSubmatch(id)
	if m == nil {
		return batch.Record{}, fmt.Errorf("%.40q is not a job id", id)
	}
	r := batch.Record{ID: m[1], Index: -1, Name: name, State: batch.Unknown, Code: -1}
	if i, err := strconv.Atoi(m[2]); err == nil {
		r.Index = i
	}
	word, _, _ := strings.Cut(state, " ") // "CANCELLED by 1000"
	word = strings.TrimSuffix(word, "+")
	if s, ok := states[word]; ok {
		r.State = s
	} else if word == "" || strings.ToUpper(word) != word {
		return batch.Record{}, fmt.Errorf("%.40q is not a state", state)
	}
	if reason == "None" || reason == "(null)" {
		reason = ""
	}
	switch {
	case word == "PENDING" || word == "COMPLETED":
		r.Reason = reason
	case word == "RUNNING":
	case reason == "" || r.State == batch.Running:
		r.Reason = state
	default:
		r.Reason = state + ", " + reason
	}
	return r, nil
}

// exitCode parses an exit code: "3:0" (code and signal), or a wait status as a
// number.
func exitCode(text string) (code int, signal string) {
	left, right, pair := strings.Cut(text, ":")
	code, err := strconv.Atoi(left)
	if err != nil {
		return -1, ""
	}
	if !pair {
		return batch.WaitStatus(code)
	}
	number, _ := strconv.Atoi(right) // 0, no signal, if it is not a number
	if number == 0 {
		return code, ""
	}
	return -1, batch.SignalName(number)
}

// parseLookup parses the output of sacct (i is 0) or scontrol (i is 1) for a job.
func parseLookup(i int, _ string, out []byte) ([]batch.Record, error) {
	if i == 0 {
		return parseAccounting(string(out))
	}
	return parseShow(string(out))
}

// parseAccounting parses sacct's lines: JobID|State|ExitCode|JobName.
func parseAccounting(out string) ([]batch.Record, error) {
	var all []batch.Record
	for line := range strings.Lines(out) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), "|", 4)
		if len(fields) < 4 || strings.Contains(fields[0], ".") {
			continue // steps
		}
		r, err := record(fields[0], fields[1], fields[3], "")
		if err != nil {
			return nil, err
		}
		if r.State.Ended() {
			r.Code, r.Signal = exitCode(fields[2])
		}
		all = append(all, r)
	}
	return all, nil
}

var showForm = regexp.MustCompile(`(?:^|\s)(JobId|ArrayJobId|ArrayTaskId|JobName|JobState|Reason|ExitCode)=(\S*)`)

// parseShow parses scontrol's lines, one for each job or element.
func parseShow(out string) ([]batch.Record, error) {
	var all []batch.Record
	for line := range strings.Lines(out) {
		value := map[string]string{}
		for _, m := range showForm.FindAllStringSubmatch(line, -1) {
			if _, ok := value[m[1]]; !ok {
				value[m[1]] = m[2]
			}
		}
		if value["JobId"] == "" {
			continue
		}
		id := value["JobId"]
		if array := value["ArrayJobId"]; array != "" {
			id = array
			if task := value["ArrayTaskId"]; task != "" {
				if _, err := strconv.Atoi(task); err != nil {
					task = "[" + task + "]"
				}
				id += "_" + task
			}
		}
		r, err := record(id, value["JobState"], value["JobName"], value["Reason"])
		if err != nil {
			return nil, err
		}
		if r.State.Ended() {
			r.Code, r.Signal = exitCode(value["ExitCode"])
		}
		all = append(all, r)
	}
	return all, nil
}
