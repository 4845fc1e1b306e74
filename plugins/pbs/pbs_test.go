package pbs

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"testing"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/batch"
)

// What the emulator of OpenPBS 23.06 prints, which is fitted to the real one.
func TestParse(t *testing.T) {
	text, err := os.ReadFile("testdata/qstat.txt")
	if err != nil {
		t.Fatal(err)
	}
	got, err := parse(text)
	if err != nil || len(got) != 10 {
		t.Fatal(len(got), err)
	}
	const name, tag = "ipcore-x_1", "ipcore-x"
	for i, want := range []batch.Record{
		{ID: "0", Handle: "0[].head1", Index: -1, Name: name, Comment: tag, State: batch.Failed, Code: 1},
		{ID: "0", Handle: "0[1].head1", Index: 1, Name: name, Comment: tag, State: batch.Cancelled, Code: -1, Signal: "SIGTERM"},
		{ID: "0", Handle: "0[2].head1", Index: 2, Name: name, Comment: tag, State: batch.Cancelled, Code: -1, Signal: "SIGTERM"},
		{ID: "0", Handle: "0[3].head1", Index: 3, Name: name, Comment: tag, State: batch.Failed, Code: 3},
		{ID: "0", Handle: "0[4].head1", Index: 4, Name: name, Comment: tag, State: batch.Failed, Code: -1, Signal: "SIGKILL"},
	} {
		got[i].Reason = ""
		if got[i] != want {
			t.Errorf("got  %+v\nwant %+v", got[i], want)
		}
	}
	if r := got[6]; r.ID != "1" || r.State != batch.Queued {
		t.Errorf("a held element: %+v", r)
	}
	for _, bad := range []string{"<html>\n", "Job Id: x\n    job_state = R\n", "Job Id: 1.s\n    Job_Name = n\n"} {
		if got, err := parse([]byte(bad)); err == nil {
			t.Errorf("%q was taken for %+v", bad, got)
		}
	}
}

func TestEnd(t *testing.T) {
	const ran = "Job run at Wed Nov 25 at 23:33 on (node2:ncpus=1)"
	for _, c := range []struct {
		status, comment string
		want            batch.Record
	}{
		{"0", ran + " and finished", batch.Record{State: batch.Completed}},
		{"3", ran + " and failed", batch.Record{State: batch.Failed, Code: 3, Reason: "failed"}},
		{"0", ran + " and terminated by root@head1", batch.Record{State: batch.Cancelled, Code: -1, Reason: "terminated by root@head1"}},
		{"271", ran + " and terminated by root@head1", batch.Record{State: batch.Cancelled, Code: -1, Signal: "SIGTERM", Reason: "terminated by root@head1"}},
		{"265", ran, batch.Record{State: batch.Failed, Code: -1, Signal: "SIGKILL"}},
		{"-29", ran + " and exceeded resource walltime", batch.Record{State: batch.Failed, Code: -1, Reason: "the time limit was reached, exceeded resource walltime"}},
		{"137", "", batch.Record{State: batch.Failed, Code: -1, Signal: "SIGKILL"}},
		{"", "", batch.Record{State: batch.Cancelled, Code: -1, Reason: "it never ran"}},
	} {
		r := batch.Record{Code: -1}
		if end(&r, c.status, c.comment); r != c.want {
			t.Errorf("%q, %q: %+v, want %+v", c.status, c.comment, r, c.want)
		}
	}
}

func TestParseSqueue(t *testing.T) {
	line := func(words ...any) string { return fmt.Sprintf("%-24s%-64s%-24s%-16s%-96s%-208s\n", words...) }
	got, err := parseSqueue([]byte(line("7", "1", "RUNNING", "0", "None", "n") + line("7", "2", "PENDING", "0", "Resources", "n") +
		line("8", "N/A", "CANCELLED", "0", "None", "a b") + line("9", "1", "FAILED", "9", "JobLaunchFailure", "n") +
		line("9", "2", "FAILED", "768", "NonZeroExitCode", "n")))
	want := []batch.Record{
		{ID: "7", Index: 1, State: batch.Running, Name: "n", Code: -1},
		{ID: "7", Index: 2, State: batch.Queued, Reason: "Resources", Name: "n", Code: -1},
		{ID: "8", Index: -1, State: batch.Cancelled, Reason: "CANCELLED", Name: "a b", Code: -1},
		{ID: "9", Index: 1, State: batch.Failed, Reason: "FAILED", Name: "n", Code: -1, Signal: "SIGKILL"},
		{ID: "9", Index: 2, State: batch.Failed, Reason: "FAILED", Name: "n", Code: 3},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\n%+v\nwant\n%+v", err, got, want)
	}
}

func TestIDs(t *testing.T) {
	for id, want := range map[string][2]string{
		"8.pbsvm": {"8", "8[3].pbsvm"}, "8[].pbs.x.y": {"8", "8[3].pbs.x.y"}, "12": {"12", "12[3]"}, "odd": {"odd", "odd"},
	} {
		if got := [2]string{number(id), element(id, 3)}; got != want {
			t.Errorf("%s: %q, want %q", id, got, want)
		}
	}
	for out, want := range map[string]string{
		"8[].pbsvm\n": "8[].pbsvm", "1.server.example.org\n": "1.server.example.org", "Welcome user 7\n10\n": "10", "qsub: waiting\n": "",
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

func TestDialects(t *testing.T) {
	for said, want := range map[string]string{
		"pbs_version = 23.06.06\n": openPBS, "Version: 6.1.3\nCommit: 170e8ab\n": torque, "version: 4.2.9": torque,
		"Unknown option: version\nUsage:\n    qsub [-a start_time]": wrapper, "qsub: invalid option": "",
	} {
		if got := detect(said); got != want {
			t.Errorf("%q: %q, want %q", said, got, want)
		}
	}
	needs := batch.Needs{Nodes: 2, Cores: 4, GPUs: 1, Memory: "512mb", Exclusive: true, Reservation: "R1"}
	open := needs
	if got, err := combineSelect(&open); err != nil || open.Queue != "R1" || !slices.Equal(got, []string{"-l select=2:ncpus=4:ngpus=1:mem=512mb", "-l place=excl"}) {
		t.Errorf("%q, %v", got, err)
	}
	old := needs
	if got, err := combineNodes(&old); err != nil || !slices.Equal(got, []string{"-W x=FLAGS:ADVRES:R1", "-l nodes=2:ppn=4:gpus=1", "-l mem=512mb", "-l naccesspolicy=singlejob"}) {
		t.Errorf("%q, %v", got, err)
	}
	needs.Queue = "workq"
	if _, err := combineSelect(&needs); !errors.Is(err, sdk.ErrBadOption) {
		t.Errorf("reservation and queue: %v", err)
	}
}
