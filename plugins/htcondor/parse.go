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
	"5": batch.Queued,  // held: it waits until it is released, and the reason says why
	"6": batch.Running, // transferring output
	"7": batch.Running, // suspended
}

// attributes are the attributes that condor_q and condor_history print.
var attributes = []string{
	"ClusterId", "ProcId", "JobStatus", "ExitCode", "ExitSignal", "JobBatchName", "HoldReason", "RemoveReason", "LastJobStatus", "LastHoldReason",
}

const undefined = "undefined"

// parseQueue parses the output of condor_q, and parseHistory that of condor_history.
func parseQueue(out []byte) ([]batch.Record, error) { return parseAds(out, true) }

func parseHistory(_ int, _ string, out []byte) ([]batch.Record, error) { return parseAds(out, false) }

// parseAds reads lines of attributes, with tabs between.
func parseAds(out []byte, queue bool) ([]batch.Record, error) {
	var all []batch.Record
	for line := range strings.Lines(string(out)) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			continue
		}
		fields := strings.Split(line, "\t")
		if len(fields) != len(attributes) || strings.Trim(fields[0], "0123456789") != "" {
			return nil, fmt.Errorf("%.80q does not have the requested attributes", line)
		}
		ad := map[string]string{}
		for i, name := range attributes {
			if fields[i] != undefined {
				ad[name] = fields[i]
			}
		}
		r, err := record(ad, queue)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

// record makes a record of a job's attributes. A removed job is in the queue for as
// long as something of it runs.
func record(ad map[string]string, queue bool) (batch.Record, error) {
	proc, err := strconv.Atoi(ad["ProcId"])
	if err != nil {
		return batch.Record{}, fmt.Errorf("%.40q is not a process number", ad["ProcId"])
	}
	r := batch.Record{ID: ad["ClusterId"], Index: proc, Name: ad["JobBatchName"], State: batch.Unknown, Code: -1}
	if s, ok := states[ad["JobStatus"]]; ok {
		r.State = s
	}
	removed := ad["JobStatus"] == "3"
	switch {
	case removed && queue:
		r.State, r.Reason = batch.Running, "being removed: "+ad["RemoveReason"]
	case removed && ad["LastJobStatus"] == "5" && strings.Contains(ad["RemoveReason"], "PeriodicRemove"):
		r.State, r.Reason = batch.Failed, ad["LastHoldReason"] // by policy
	case removed:
		r.Reason = ad["RemoveReason"]
	case r.State == batch.Completed:
		finished(&r, ad["ExitCode"], ad["ExitSignal"])
	case ad["JobStatus"] == "5":
		r.Reason = "held: " + ad["HoldReason"]
	case ad["JobStatus"] == "7":
		r.Reason = "suspended"
	}
	return r, nil
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
