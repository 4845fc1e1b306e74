package slurm

import (
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/ipcore/ipcore/sdk/batch"
)

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// The file is the output of Slurm 22.05's squeue for jobs in many states.
func TestParseQueue(t *testing.T) {
	got, err := parseQueue(read(t, "squeue.txt"))
	const name = "ipcore-0123456789ab_1"
	want := []batch.Record{
		{ID: "62", Index: 2, Name: name, Comment: "ipcore-0123456789ab", State: batch.Cancelled, Reason: "CANCELLED", Code: -1, Signal: "SIGTERM"},
		{ID: "65", Index: -1, Name: "good", State: batch.Completed, Code: 0},
		{ID: "62", Index: 3, Name: name, Comment: "ipcore-0123456789ab", State: batch.Failed, Reason: "FAILED, NonZeroExitCode", Code: 3},
		{ID: "64", Index: -1, Name: "killed", State: batch.Failed, Reason: "FAILED, JobLaunchFailure", Code: -1, Signal: "SIGKILL"},
		{ID: "63", Index: -1, Name: "big", State: batch.Queued, Reason: "PartitionConfig", Code: -1},
		{ID: "62", Index: 1, Name: name, Comment: "ipcore-0123456789ab", State: batch.Running, Code: -1},
		{ID: "62", Index: 4, Name: name, Comment: "ipcore-0123456789ab", State: batch.Running, Code: -1},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\n%+v\nwant\n%+v", err, got, want)
	}
	for _, bad := range []string{"slurm_load_jobs error: something\n", "<html>\n", "12\n", "12  running\n"} {
		if got, err := parseQueue([]byte(bad)); err == nil {
			t.Errorf("%q was taken for %+v", bad, got)
		}
	}
}

func TestParseLookup(t *testing.T) {
	got, err := parseLookup(1, "62", read(t, "scontrol.txt"))
	if err != nil || len(got) != 4 {
		t.Fatal(got, err)
	}
	const name = "ipcore-0123456789ab_1"
	if want := (batch.Record{ID: "62", Index: 3, Name: name, State: batch.Failed, Reason: "FAILED, NonZeroExitCode", Code: 3}); got[1] != want {
		t.Errorf("got %+v, want %+v", got[1], want)
	}
	if got[2].Signal != "SIGTERM" || got[2].State != batch.Cancelled || got[0].State != batch.Running {
		t.Errorf("got %+v", got)
	}

	// The form that Slurm's manual gives for sacct --parsable2.
	got, err = parseLookup(0, "7", []byte("7_1|COMPLETED|0:0|n\n7_2|CANCELLED by 1000|0:15|n\n7_3|TIMEOUT|0:0|a|b\n7_3.batch|FAILED|1:0|batch\n7_[4-9]|PENDING|0:0|n\n"))
	want := []batch.Record{
		{ID: "7", Index: 1, Name: "n", State: batch.Completed, Code: 0},
		{ID: "7", Index: 2, Name: "n", State: batch.Cancelled, Reason: "CANCELLED by 1000", Code: -1, Signal: "SIGTERM"},
		{ID: "7", Index: 3, Name: "a|b", State: batch.Failed, Reason: "TIMEOUT", Code: 0},
		{ID: "7", Index: -1, Name: "n", State: batch.Queued, Code: -1},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\n%+v\nwant\n%+v", err, got, want)
	}
}

func TestJobID(t *testing.T) {
	for out, want := range map[string]string{
		"42\n": "42", "42;cluster\n": "42", "Submitted batch job 42\n": "42", "Welcome to site 7!\n42\n": "42",
		"Submitted batch job 42 on cluster x": "", "": "", "no 42 here\n": "",
	} {
		got := ""
		if m := System.JobID.FindStringSubmatch(out); m != nil {
			got = m[1]
		}
		if got != want {
			t.Errorf("%q: %q, want %q", out, got, want)
		}
	}
}

func TestTemplateDirectives(t *testing.T) {
	for text, name := range map[string]string{
		"#SBATCH --partition=x": "queue", "#SBATCH -p x": "queue", "#SBATCH -px": "queue", "#SBATCH -J n -p x": "queue",
		"#SBATCH --ntasks=4": batch.DirectiveTasks, "#SBATCH -n 4": batch.DirectiveTasks, "#SBATCH --array=1-4": batch.DirectiveArray,
		"#SBATCH --time 1": "time_limit", "#SBATCH -o f": "output_file", "#SBATCH --mem-per-cpu=1G": "memory", "#SBATCH --exclusive": "exclusive",
	} {
		if !System.Dialect.Directives[name].Match.MatchString("#!/bin/sh\n" + text + "\ntrue\n") {
			t.Errorf("%q is not found as %s", text, name)
		}
	}
	for text, name := range map[string]string{"# SBATCH -p x": "queue", "srun -p x": "queue", "#SBATCH --parsable": "queue", "#SBATCH --time-min=1": "time_limit"} {
		if System.Dialect.Directives[name].Match.MatchString(text) {
			t.Errorf("%q was taken for %s", text, name)
		}
	}
}

func TestTime(t *testing.T) {
	for d, want := range map[time.Duration]string{time.Minute: "0-00:01:00", 90 * time.Minute: "0-01:30:00", 36*time.Hour + time.Millisecond: "1-12:00:01"} {
		if got := writeTime(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}
