package lsf

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ipcore/ipcore/sdk"
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

const name = "ipcore-0123456789ab-set"

func TestParseJobs(t *testing.T) {
	got, err := parseJobs(read(t, "bjobs.txt"))
	want := []batch.Record{
		{ID: "101", Index: 1, Name: name, State: batch.Running, Code: -1},
		{ID: "101", Index: 2, Name: name, State: batch.Queued, Reason: "Not enough job slot(s): 4 hosts", Code: -1},
		{ID: "101", Index: 3, Name: name, State: batch.Queued, Reason: "suspended while pending", Code: -1},
		{ID: "101", Index: 4, Name: name, State: batch.Completed, Code: -1},
		{ID: "102", Index: -1, Name: "my own job", State: batch.Unknown, Reason: "its host does not answer", Code: -1},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\n%+v\nwant\n%+v", err, got, want)
	}
	// With -p alone there is no column for the host.
	got, err = parseJobs([]byte("JOBID   USER    STAT  QUEUE      FROM_HOST   JOB_NAME   SUBMIT_TIME\n7678  user1 PEND priority hostD verilog Oct 28 13:08\n  Queue's resource requirements not satisfied:3 hosts;\n"))
	if err != nil || len(got) != 1 || got[0].Name != "verilog" || got[0].Reason != "Queue's resource requirements not satisfied:3 hosts" {
		t.Errorf("%v %+v", err, got)
	}
	if got, err := parseJobs(nil); err != nil || len(got) != 0 {
		t.Errorf("nothing: %v %+v", err, got)
	}
	for _, bad := range []string{"mbatchd: \x00\x07 corrupted reply\n", "101 user1 RUN normal a b n Nov 25 21:03\n"} {
		if got, err := parseJobs([]byte(bad)); err == nil {
			t.Errorf("%q was taken for %+v", bad, got)
		}
	}
}

func TestParseLong(t *testing.T) {
	want := []batch.Record{
		{ID: "101", Index: 1, State: batch.Failed, Code: 3},
		{ID: "101", Index: 2, State: batch.Cancelled, Reason: "TERM_OWNER: job killed by owner", Code: -1, Signal: "SIGKILL"},
		{ID: "101", Index: 3, State: batch.Failed, Reason: "TERM_RUNLIMIT: job killed after reaching LSF run time limit", Code: -1, Signal: "SIGUSR2"},
		{ID: "101", Index: 4, State: batch.Queued, Reason: "Not enough job slot(s): 4 hosts", Code: -1},
		{ID: "101", Index: 5, State: batch.Completed, Code: -1},
	}
	if got := parseLong(string(read(t, "bjobs-l.txt"))); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant\n%+v", got, want)
	}
}

func TestWords(t *testing.T) {
	for text, form := range map[string]interface{ MatchString(string) bool }{
		"Job <9> is not found":                                                           System.Gone,
		"No unfinished job found":                                                        System.Gone,
		"Job <9>: No matching job found":                                                 System.Gone,
		"Job <9>: Job has already finished":                                              System.Ended,
		"batch system daemon not responding ... still trying":                            System.Down,
		"Failed in an LSF library call: Master LIM is down; try later. Job not found.":   System.Down,
		"LSF is processing your request. Please wait ...":                                System.Down,
		"Ticket 40217, 3 queues\nJob <101> is submitted to default queue <normal>.\nbye": System.JobID,
	} {
		if !form.MatchString(text) {
			t.Errorf("%q is not found by %v", text, form)
		}
	}
	if m := System.JobID.FindStringSubmatch("7 queues\nJob <101> is submitted to queue <short>."); m[1] != "101" {
		t.Errorf("id %q", m)
	}
}

func TestCombine(t *testing.T) {
	for _, c := range []struct {
		needs batch.Needs
		want  string
	}{
		{batch.Needs{}, ""},
		{batch.Needs{Cores: 4}, `-n 4|-R "span[hosts=1]"`},
		{batch.Needs{Processes: 6, Cores: 2}, `-n 12|-R "span[ptile=2]"`},
		{batch.Needs{Nodes: 3}, `-n 3|-R "span[ptile=1]"`},
		{batch.Needs{Nodes: 2, Processes: 8, GPUs: 1, Memory: "512"}, `-n 8|-R "span[ptile=4]"|-R "rusage[mem=512]"|-gpu "num=4"`},
	} {
		n := c.needs
		lines, err := combine(&n)
		if got := strings.Join(lines, "|"); err != nil || got != c.want || n.Nodes+n.Cores+n.Processes+n.GPUs != 0 {
			t.Errorf("%+v: %v %s, want %s", c.needs, err, got, c.want)
		}
	}
	if _, err := combine(&batch.Needs{Nodes: 2, Processes: 3}); !errors.Is(err, sdk.ErrBadOption) {
		t.Errorf("3 processes on 2 nodes: %v", err)
	}
	if got := minutes(90*time.Minute + time.Second); got != "1:31" {
		t.Errorf("90 minutes and a second: %s", got)
	}
}

func TestDirectives(t *testing.T) {
	j := &batch.Job{
		System: &System, Settings: &batch.Settings{Queue: "short"}, N: 4, Layout: batch.LayoutArray, Name: name, Output: "/logs/e.log",
	}
	got, err := j.Directives()
	want := []string{`-J "` + name + `[1-4]"`, "-q short", "-o /logs/e-%I.log"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v %q, want %q", err, got, want)
	}
	j.N, j.Layout = 1, ""
	got, err = j.Directives()
	want = []string{"-q short", "-o /logs/e.log", "-J " + name}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v %q, want %q", err, got, want)
	}
}
