package sge

import (
	"errors"
	"os"
	"reflect"
	"slices"
	"testing"

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

// What qstat -xml of SGE 8.1.9 printed.
func TestParseQueue(t *testing.T) {
	all, err := parseQueue(read(t, "qstat.xml"))
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]map[batch.JobState]int{}
	for _, r := range all {
		if count[r.ID] == nil {
			count[r.ID] = map[batch.JobState]int{}
		}
		count[r.ID][r.State]++
	}
	if count["5"][batch.Running] != 11 || count["5"][batch.Queued] != 27 || count["4"][batch.Queued] != 40 || count["6"][batch.Queued] != 1 {
		t.Errorf("counted %v", count)
	}
	i := slices.IndexFunc(all, func(r batch.Record) bool { return r.ID == "4" && r.Index == 40 })
	if want := (batch.Record{ID: "4", Index: 40, Name: "digits", State: batch.Queued, Reason: "hqw: held", Code: -1}); i < 0 || all[i] != want {
		t.Errorf("got %+v", all)
	}
	empty, err := parseQueue([]byte("<?xml version='1.0'?>\n<job_info xmlns:xsd=\"http://x\">\n<queue_info>\n</queue_info>\n<job_info>\n</job_info>\n</job_info>\n"))
	if err != nil || len(empty) != 0 {
		t.Errorf("of no job: %v, %v", empty, err)
	}
	for _, bad := range []string{"", "<html></html>", "error: commlib", "<job_info><job_info><job_list><state>r</state></job_list></job_info></job_info>"} {
		if got, err := parseQueue([]byte(bad)); err == nil {
			t.Errorf("%q was taken for %+v", bad, got)
		}
	}
}

func TestParseLookup(t *testing.T) {
	all, err := parseLookup(0, "1", read(t, "qacct.txt"))
	if err != nil || len(all) < 4 {
		t.Fatal(all, err)
	}
	const name = "ipcore-0123456789ab_1"
	for _, want := range []batch.Record{
		{ID: "1", Index: 3, Name: name, State: batch.Failed, Code: 3},
		{ID: "1", Index: 4, Name: name, State: batch.Failed, Code: -1, Signal: "SIGKILL"},
		{ID: "1", Index: 9, Name: name, State: batch.Failed, Code: -1, Signal: "SIGKILL", Reason: "failed 37: qmaster enforced h_rt, h_cpu, or h_vmem limit"},
	} {
		if !slices.Contains(all, want) {
			t.Errorf("%+v is not in %+v", want, all)
		}
	}
}

func TestTasks(t *testing.T) {
	for text, want := range map[string][]int{"": nil, "undefined": nil, "3": {3}, "2-4:1": {2, 3, 4}, "1,4,7-11:2": {1, 4, 7, 9, 11}} {
		if got, err := tasks(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, bad := range []string{"x", "1-", "4-2", "1-9:0", "1-999999999999", "1-99999999:1"} {
		if got, err := tasks(bad); err == nil {
			t.Errorf("%q: %d tasks", bad, len(got))
		}
	}
}

func TestJobID(t *testing.T) {
	for out, want := range map[string]string{
		"3\n": "3", "1.1-4:1\n": "1", `Your job 3 ("one") has been submitted` + "\n": "3",
		`Your job-array 1.1-4:1 ("arr") has been submitted` + "\n": "1", "Welcome, user 12 of 40\n7\n": "7", "no job\n": "",
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

func TestSlots(t *testing.T) {
	if got, err := combineIn("smp", &batch.Needs{Cores: 2, Processes: 3}); err != nil || !slices.Equal(got, []string{"-pe smp 6"}) {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := combineIn("", &batch.Needs{}); err != nil || got != nil {
		t.Errorf("%q, %v", got, err)
	}
	for _, n := range []batch.Needs{{Cores: 2}, {Exclusive: true}} {
		if got, err := combineIn("", &n); !errors.Is(err, sdk.ErrBadOption) {
			t.Errorf("%q, %v", got, err)
		}
	}
}
