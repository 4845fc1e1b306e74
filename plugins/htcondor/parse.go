package htcondor

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/ipcore/ipcore/sdk/batch"
)

// states are HTCondor's numbers of a job's status.
var states = map[string]batch.JobState{
	"1": batch.Queued, // idle
	"2": batch.Running,
	"3": batch.Cancelled, // removed
	"4": batch.Completed,
	"5": batch.Queued,  // held: it waits for ever, and the reason says why
	"6": batch.Running, // transferring output
	"7": batch.Running, // suspended
}

const undefined = "undefined"

// parseAds reads lines of attributes.
func parseAds(out []byte) ([]batch.Record, error) {
	var all []batch.Record
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if len(fields) <= len(attributes) || strings.Trim(fields[0], "0123456789") != "" {
			return nil, fmt.Errorf("%.80q has not the attributes that were asked for", strings.TrimSpace(line))
		}
		proc, err := strconv.Atoi(fields[1])
		if err != nil {
			return nil, fmt.Errorf("%.40q is no number of a process", fields[1])
		}
		r := batch.Record{ID: fields[0], Index: proc, State: batch.Unknown, Code: -1}
		if s, ok := states[fields[2]]; ok {
			r.State = s
		}
		if fields[5] != undefined {
			r.Name = fields[5]
		}
		reason := strings.Join(fields[len(attributes):], " ")
		if reason == undefined {
			reason = ""
		}
		switch fields[2] {
		case "3":
			r.Reason = reason
		case "4":
			finished(&r, fields[3], fields[4])
		case "5":
			r.Reason = "held: " + reason
		case "7":
			r.Reason = "suspended"
		}
		all = append(all, r)
	}
	return all, nil
}

// finished puts into a record how a job ended by itself.
func finished(r *batch.Record, code, signal string) {
	if n, err := strconv.Atoi(signal); err == nil {
		r.State, r.Signal = batch.Failed, batch.SignalName(n)
		return
	}
	if n, err := strconv.Atoi(code); err == nil {
		if r.Code = n; n != 0 {
			r.State = batch.Failed
		}
	}
}
