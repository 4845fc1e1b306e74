package sge

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/ipcore/ipcore/sdk/batch"
)

// jobs is what qstat -xml prints: running jobs in one list, waiting ones in the
// other.
type jobs struct {
	XMLName xml.Name `xml:"job_info"`
	Running []job    `xml:"queue_info>job_list"`
	Waiting []job    `xml:"job_info>job_list"`
}

type job struct {
	Number string `xml:"JB_job_number"`
	Name   string `xml:"JB_name"`
	State  string `xml:"state"`
	Tasks  string `xml:"tasks"`
	Queue  string `xml:"queue_name"`
}

// maxTasks bounds the elements that one answer may list.
const maxTasks = 10_000_000

// parseQueue reads what qstat -xml printed.
func parseQueue(out []byte) ([]batch.Record, error) {
	var list jobs
	if err := xml.Unmarshal(bytes.TrimSpace(out), &list); err != nil {
		return nil, fmt.Errorf("%.60q is not the XML of qstat: %w", out, err)
	}
	var all []batch.Record
	for _, j := range append(list.Running, list.Waiting...) {
		if j.Number == "" || j.State == "" {
			return nil, errors.New("a job without a number or a state")
		}
		r := batch.Record{ID: j.Number, Index: -1, Name: j.Name, Code: -1}
		r.State, r.Reason = state(j.State)
		indexes, err := tasks(j.Tasks)
		if err != nil {
			return nil, err
		}
		if len(all)+len(indexes) > maxTasks {
			return nil, errors.New("it lists too many elements")
		}
		for _, i := range indexes {
			r.Index = i
			all = append(all, r)
		}
		if len(indexes) == 0 {
			all = append(all, r)
		}
	}
	return all, nil
}

// state reads SGE's letters. Those that say more than running or waiting are the
// reason.
func state(letters string) (batch.JobState, string) {
	switch {
	case strings.Contains(letters, "E"):
		return batch.Queued, letters + ": error state, qstat -j and qacct say why; qmod -cj clears it"
	case strings.Contains(letters, "h"):
		return batch.Queued, letters + ": held"
	case strings.Contains(letters, "q"):
		return batch.Queued, letters
	case strings.ContainsAny(letters, "rtsSTN"):
		if letters == "r" {
			return batch.Running, ""
		}
		return batch.Running, letters
	case strings.Contains(letters, "d"):
		return batch.Running, letters + ": being deleted"
	}
	return batch.Unknown, letters
}

// tasks reads the elements of a line: "3", "13-40:1", "1,4,7-9:2".
func tasks(text string) ([]int, error) {
	var all []int
	if text = strings.TrimSpace(text); text == "" || text == "undefined" {
		return nil, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		span, stepText, stepped := strings.Cut(part, ":")
		fromText, toText, ranged := strings.Cut(span, "-")
		from, err := strconv.Atoi(fromText)
		to, step := from, 1
		if ranged && err == nil {
			to, err = strconv.Atoi(toText)
		}
		if stepped && err == nil {
			step, err = strconv.Atoi(stepText)
		}
		if err != nil || from < 0 || step < 1 || to < from || (to-from)/step > maxTasks {
			return nil, fmt.Errorf("%.40q is not a list of tasks", text)
		}
		for i := from; i <= to; i += step {
			all = append(all, i)
		}
	}
	return all, nil
}

// parseLookup reads what qacct (0) says of a job. qstat -j (1) is only asked
// whether there is one, which its exit code tells.
func parseLookup(i int, _ string, out []byte) ([]batch.Record, error) {
	if i != 0 {
		return nil, nil
	}
	var all []batch.Record
	for block := range strings.SplitSeq(string(out), "==============================================================") {
		value := map[string]string{}
		for line := range strings.Lines(block) {
			name, rest, ok := strings.Cut(strings.TrimSpace(line), " ")
			if ok {
				value[name] = strings.TrimSpace(rest)
			}
		}
		if value["jobnumber"] == "" {
			continue
		}
		all = append(all, ended(value))
	}
	return all, nil
}

// ended reads one record of qacct.
func ended(value map[string]string) batch.Record {
	r := batch.Record{ID: value["jobnumber"], Index: -1, Name: value["jobname"], State: batch.Completed, Code: -1}
	if i, err := strconv.Atoi(value["taskid"]); err == nil {
		r.Index = i
	}
	code, _, _ := strings.Cut(value["exit_status"], " ")
	if n, err := strconv.Atoi(code); err == nil {
		r.Code = n
	}
	number, text, _ := strings.Cut(value["failed"], " ")
	failed, _ := strconv.Atoi(number) // 0: it did not fail
	if name, ok := batch.Signal(r.Code - 128); ok {
		r.Code, r.Signal = -1, name
	}
	if r.Code != 0 || failed != 0 {
		r.State = batch.Failed
	}
	if text = strings.TrimLeft(text, " :"); failed != 0 && failed != 100 { // 100: a signal, which is said already
		r.Reason = fmt.Sprintf("failed %d: %s", failed, text)
	}
	return r
}
