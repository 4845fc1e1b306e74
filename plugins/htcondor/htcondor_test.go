package htcondor

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/batch"
	"github.com/ipcore/ipcore/sdk/plugintest"
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

// What condor_q and condor_history of HTCondor 23.9.6 printed. A job that is being
// removed is in the queue; what ended for good is in the history, and so is what
// the description's policy removed.
func TestParseAds(t *testing.T) {
	for _, c := range []struct {
		file  string
		parse func([]byte) ([]batch.Record, error)
		want  []batch.Record
	}{
		{"queue.txt", parseQueue, []batch.Record{
			{ID: "10", Index: 0, Name: name, State: batch.Running, Reason: "being removed: via condor_rm (by user tbuser)", Code: -1},
			{ID: "11", Index: 0, Name: name, State: batch.Running, Code: -1},
			{ID: "12", Index: 0, Name: name, State: batch.Queued, Reason: "held: submitted on hold at user's request", Code: -1},
			{ID: "13", Index: 0, Name: name, State: batch.Queued, Code: -1},
			{ID: "13", Index: 1, Name: name, State: batch.Queued, Code: -1},
		}},
		{"history.txt", func(out []byte) ([]batch.Record, error) { return parseHistory(0, "", out) }, []batch.Record{
			{ID: "11", Index: 0, Name: name, State: batch.Cancelled, Reason: "via condor_rm (by user tbuser)", Code: -1},
			{ID: "12", Index: 0, Name: name, State: batch.Cancelled, Reason: "via condor_rm (by user tbuser)", Code: -1},
			{ID: "38", Index: 2, Name: name, State: batch.Failed, Code: -1, Signal: "SIGKILL"},
			{ID: "38", Index: 1, Name: name, State: batch.Failed, Code: 1},
			{ID: "38", Index: 0, Name: name, State: batch.Completed, Code: 0},
			{ID: "10", Index: 0, Name: name, State: batch.Cancelled, Reason: "via condor_rm (by user tbuser)", Code: -1},
			{ID: "8", Index: 0, Name: name, State: batch.Failed, Reason: "The job exceeded allowed job duration of 00:01", Code: -1},
			{
				ID: "9", Index: 0, Name: name, State: batch.Failed, Code: -1,
				Reason: "Error from slot3_1@127-0-0-1.testbed: Failed to execute '/nonexistent': (errno=2: 'No such file or directory')",
			},
		}},
	} {
		if got, err := c.parse(read(t, c.file)); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v\n%+v\nwant\n%+v", c.file, err, got, c.want)
		}
	}
	other := "\tundefined\tundefined\ta\tundefined\tundefined\tundefined\tundefined\n"
	for _, bad := range []string{"-- Failed to parse ad\n", "1\t0\t2\n", "1\tx\t2" + other, "x\t0\t2" + other} {
		if got, err := parseQueue([]byte(bad)); err == nil {
			t.Errorf("%q was taken for %+v", bad, got)
		}
	}
}

// What the real commands say of what is not there.
func TestWords(t *testing.T) {
	for text, form := range map[string]interface{ MatchString(string) bool }{
		"\nCouldn't find/remove all jobs in cluster 9999\n":                   System.Gone,
		"\nJob 2.0 not found\n":                                               System.Gone,
		"condor_rm: Can't find address for schedd 127-0-0-1.testbed\n":        System.Down,
		"Error: Can't find address for schedd 127-0-0-1.testbed\n\nExtra":     System.Down,
		"ERROR: Can't find address of local schedd\n":                         System.Down,
		"Submitting job(s)...\n3 job(s) submitted to cluster 12.\n":           System.JobID,
		"Maintenance 2026, 7 queues\n1 job(s) submitted to cluster 12.\nbye.": System.JobID,
	} {
		if !form.MatchString(text) {
			t.Errorf("%q is not found by %v", text, form)
		}
	}
	if m := System.JobID.FindStringSubmatch("3 job(s) submitted to cluster 12."); m[1] != "12" {
		t.Errorf("id %q", m)
	}
}

func job(n int, o batch.Settings, path string) *batch.Job {
	j := &batch.Job{
		System: &System, Settings: &o, Request: sdk.StartRequest{Kind: sdk.Engine, ID: "set", Command: []string{"ipengine"}},
		N: n, Name: name, WorkDir: "/my work", Output: path + "ipengine.log", Path: path + "set.htcondor", Env: map[string]string{"SECRET": "x"},
	}
	if n > 1 {
		j.Layout = batch.LayoutArray
	}
	return j
}

func TestSubmitDescription(t *testing.T) {
	got, err := compose(job(4, batch.Settings{Cores: 2, Account: "group.physics"}, "/my logs/"))
	want := `universe = vanilla
executable = /my logs/set.htcondor.sh
transfer_executable = False
initialdir = /my work
output = /my logs/ipengine-$(Process).log
error = /my logs/ipengine-$(Process).log
accounting_group = group.physics
request_cpus = 2
job_max_vacate_time = 10
periodic_remove = JobStatus == 5 && member(HoldReasonCode, {6, 7, 8, 9, 10, 12, 13, 14, 34, 46, 47})
batch_name = ` + name + `
queue 4
`
	if err != nil || got != want {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
	own := batch.Settings{Directives: []string{"+Project = \"x\"", "job_max_vacate_time = 60"}, DropDirectives: []string{"periodic_remove"}}
	got, err = compose(job(1, own, "/a$(b)/$ENV(c)/$d/"))
	if err != nil || !strings.Contains(got, "executable = /a$(DOLLAR)(b)/$(DOLLAR)ENV(c)/$d/set.htcondor.sh\n") ||
		!strings.HasSuffix(got, "+Project = \"x\"\njob_max_vacate_time = 60\nqueue\n") || strings.Contains(got, "periodic_remove") {
		t.Errorf("%v\n%s", err, got)
	}
	for _, bad := range []batch.Settings{{Queue: "q"}, {Nodes: 2}, {Exclusive: true}, {Reservation: "r"}} {
		if got, err := compose(job(1, bad, "/")); !errors.Is(err, sdk.ErrBadOption) {
			t.Errorf("%+v: %v\n%s", bad, err, got)
		}
	}
	for _, bad := range []string{"/a$$(b)/", "/a\nb/"} { // what HTCondor would expand, and two settings
		if got, err := compose(job(1, batch.Settings{}, bad)); !errors.Is(err, sdk.ErrBadOption) {
			t.Errorf("%q: %v\n%s", bad, err, got)
		}
	}
}

func TestTemplateSettings(t *testing.T) {
	for text, name := range map[string]string{
		"queue 4": batch.DirectiveArray, "Queue $(N)": batch.DirectiveArray, "output = f": "output_file", " Output=f": "output_file",
		"batch_name = x": "name", "JobBatchName = x": "name",
	} {
		if !System.Dialect.Directives[name].Match.MatchString("universe = vanilla\n" + text + "\n") {
			t.Errorf("%q is not found as %s", text, name)
		}
	}
	for text, name := range map[string]string{"queue\n": batch.DirectiveArray, "# queue 4": batch.DirectiveArray, "output_destination = x": "output_file"} {
		if System.Dialect.Directives[name].Match.MatchString(text) {
			t.Errorf("%q was taken for %s", text, name)
		}
	}
}

// A set is submitted once and removed by its cluster's number; there is no command
// for signals. What runs is a shell script that the command's words and the
// environment are in, and Stop waits while the queue still has a removed job.
func TestCommands(t *testing.T) {
	t.Setenv("LANG", "en_US.UTF-8")
	dir, calls := plugintest.Commands(t, map[string]string{
		"condor_submit": `cp "$1" "$HERE/submitted"; cp "$1.sh" "$HERE/script"; cp "$1.env" "$HERE/env"; env >"$HERE/environment"
printf 'Submitting job(s)....\n4 job(s) submitted to cluster 12.\n'`,
		"condor_rm": `: >"$HERE/gone"`,
		"condor_q": `s=2; [ ! -e "$HERE/gone" ] || s=3; [ ! -e "$HERE/asked" ] || exit 0; [ $s = 2 ] || : >"$HERE/asked"
for i in 0 1 2 3; do printf "12\t$i\t$s\tundefined\tundefined\tipcore-tag-1_set\tundefined\tundefined\tundefined\tundefined\n"; done`,
		"condor_history": `for i in 0 1 2 3; do printf "12\t$i\t3\tundefined\tundefined\tipcore-tag-1_set\tundefined\tvia condor_rm (by user me)\t2\tundefined\n"; done`,
	})
	l := System.New()(sdk.Engine, sdk.Host{Log: hclog.NewNullLogger(), Changed: func(sdk.Change) {}})
	if _, ok := l.(sdk.Signaler); ok {
		t.Error("it can signal")
	}
	n := 4
	r := sdk.StartRequest{
		Kind: sdk.Engine, ID: "set", N: &n, ProfileDir: "/p", ClusterID: "c", LogDir: t.TempDir(), WorkDir: t.TempDir(),
		Command: []string{"ipengine", "two\nlines", "it's $HOME"}, Env: map[string]string{"MINE": "a secret", "IPP_CLUSTER_ID": "c"}, Tag: "ipcore-tag-1",
	}
	if err := l.Start(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	text := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
		}
		return string(b)
	}
	if s := text("submitted"); !strings.Contains(s, "\nexecutable = "+r.LogDir+"/ipengine-c-set.htcondor.sh\n") || !strings.HasSuffix(s, "\nqueue 4\n") {
		t.Errorf("submitted was\n%s", s)
	}
	if s := text("script"); !strings.HasPrefix(s, "#!/bin/sh\nexport IPP_CLUSTER_ID=c\n") || !strings.HasSuffix(s, "\nexec ipengine 'two\nlines' 'it'\\''s $HOME'\n") {
		t.Errorf("the script was\n%s", s)
	}
	if s := text("env"); !strings.Contains(s, "export MINE='a secret'\n") || !strings.Contains(s, "export LANG=en_US.UTF-8\n") || !strings.Contains(s, "export PATH=") {
		t.Errorf("the environment was\n%s", s)
	}
	for _, name := range []string{"submitted", "script", "environment"} {
		if s := text(name); strings.Contains(s, "secret") {
			t.Errorf("in %s is\n%s", name, s)
		}
	}
	if err := l.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	text("asked") // the removed jobs were seen in the queue
	all := calls()
	if !slices.Contains(all, "condor_rm 12") {
		t.Errorf("not removed: %q", all)
	}
	if n := len(slices.DeleteFunc(slices.Clone(all), func(c string) bool { return !strings.HasPrefix(c, "condor_submit ") })); n != 1 {
		t.Errorf("%d submissions: %q", n, all)
	}
}

// `ipcore script` shows both files.
func TestScript(t *testing.T) {
	l := System.New()(sdk.Controller, sdk.Host{Log: hclog.NewNullLogger()}).(sdk.Scripter)
	s, err := l.Script(t.Context(), sdk.StartRequest{Kind: sdk.Controller, LogDir: "/l", WorkDir: "/w", Command: []string{"ipcontroller"}}, false)
	path := strings.TrimPrefix(s.Command, "condor_submit ")
	if err != nil || !strings.Contains(s.Text, "\nexecutable = "+path+".sh\n") ||
		!strings.Contains(s.Text, "\nqueue\n# the file that it runs: "+path+".sh\n#!/bin/sh\n") || !strings.HasSuffix(s.Text, "\nexec ipcontroller\n") {
		t.Errorf("%v\n%s\n%s", err, s.Command, s.Text)
	}
}
