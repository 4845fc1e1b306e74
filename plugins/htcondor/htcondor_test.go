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

// What condor_q and condor_history of HTCondor 23.9.6 printed.
func TestParseAds(t *testing.T) {
	for file, want := range map[string][]batch.Record{
		"queue.txt": {
			{ID: "1", Index: 0, Name: name, State: batch.Queued, Code: -1},
			{ID: "1", Index: 1, Name: name, State: batch.Queued, Code: -1},
			{ID: "1", Index: 2, Name: name, State: batch.Queued, Code: -1},
			{ID: "3", Index: 0, Name: name, State: batch.Running, Code: -1},
			{
				ID: "2", Index: 0, State: batch.Queued, Code: -1,
				Reason: "held: Error from slot1_1@127-0-0-1.testbed: Failed to execute '/nonexistent': (errno=2: 'No such file or directory')",
			},
		},
		"history.txt": {
			{ID: "1", Index: 1, Name: name, State: batch.Failed, Code: 1},
			{ID: "1", Index: 2, Name: name, State: batch.Failed, Code: -1, Signal: "SIGKILL"},
			{ID: "1", Index: 0, Name: name, State: batch.Completed, Code: 0},
			{ID: "2", Index: 0, State: batch.Cancelled, Reason: "via condor_rm (by user tbuser)", Code: -1},
		},
	} {
		if got, err := parseAds(read(t, file)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v\n%+v\nwant\n%+v", file, err, got, want)
		}
	}
	for _, bad := range []string{"-- Failed to parse ad\n", "1 0 2\n", "1 x 2 undefined undefined a undefined\n"} {
		if got, err := parseAds([]byte(bad)); err == nil {
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

func job(n int, o batch.Settings, command ...string) *batch.Job {
	j := &batch.Job{
		System: &System, Settings: &o, Request: sdk.StartRequest{Kind: sdk.Engine, ID: "set", Command: command},
		N: n, Name: name, WorkDir: "/work", Output: "/logs/ipengine.log", Env: map[string]string{"IPP_CLUSTER_ID": "it's", "A": `x "y"`},
	}
	if n > 1 {
		j.Layout = batch.LayoutArray
	}
	return j
}

func TestSubmitDescription(t *testing.T) {
	t.Setenv("PATH", "/bin:/usr/bin")
	t.Setenv("HOME", "/home/me")
	t.Setenv("LANG", "")
	t.Setenv("LD_LIBRARY_PATH", "")
	got, err := compose(job(4, batch.Settings{Cores: 2, Account: "group.physics"}, "/opt/ipcore", "engine", "--profile-dir=/home/my files", "$(Process)", "$HOME"))
	want := `universe = vanilla
executable = /opt/ipcore
transfer_executable = False
arguments = "engine '--profile-dir=/home/my files' $(DOLLAR)(Process) $HOME"
environment = "'A=x ""y""' HOME=/home/me 'IPP_CLUSTER_ID=it''s' PATH=/bin:/usr/bin"
initialdir = /work
output = /logs/ipengine-$(Process).log
error = /logs/ipengine-$(Process).log
accounting_group = group.physics
request_cpus = 2
batch_name = ` + name + `
queue 4
`
	if err != nil || got != want {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
	got, err = compose(job(1, batch.Settings{Prologue: batch.Lines{"module load python"}, Directives: []string{"+Project = \"x\""}}, "sh", "-c", "exit 3"))
	if err != nil || !strings.Contains(got, "executable = /bin/sh\n") || !strings.Contains(got, `"-c 'module load python; exec ""$@""' sh /`) ||
		!strings.HasSuffix(got, "+Project = \"x\"\nqueue\n") || !strings.Contains(got, "output = /logs/ipengine.log\n") {
		t.Errorf("%v\n%s", err, got)
	}
	for _, bad := range []batch.Settings{{Queue: "q"}, {Nodes: 2}, {Exclusive: true}, {Reservation: "r"}, {Prologue: batch.Lines{"a\nb"}}} {
		if got, err := compose(job(1, bad, "/bin/true")); !errors.Is(err, sdk.ErrBadOption) {
			t.Errorf("%+v: %v\n%s", bad, err, got)
		}
	}
	if _, err := compose(job(1, batch.Settings{}, "/bin/sh", "-c", "$$(X)")); !errors.Is(err, sdk.ErrBadOption) {
		t.Errorf("what HTCondor would expand: %v", err)
	}
	if _, err := compose(job(1, batch.Settings{}, "no-such-program")); !errors.Is(err, sdk.ErrBadOption) {
		t.Errorf("a program that is not there: %v", err)
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
// for signals. The program is what the command names, not a Python that is given a
// script.
func TestCommands(t *testing.T) {
	dir, calls := plugintest.Commands(t, map[string]string{
		"condor_submit":  `cp "$1" "$HERE/submitted"; printf 'Submitting job(s)....\n4 job(s) submitted to cluster 12.\n'`,
		"condor_rm":      `: >"$HERE/gone"`,
		"condor_q":       `[ -e "$HERE/gone" ] || for i in 0 1 2 3; do echo "12 $i 2 undefined undefined ipcore-tag-1_set undefined"; done`,
		"condor_history": `for i in 0 1 2 3; do echo "12 $i 3 undefined undefined ipcore-tag-1_set via condor_rm (by user me)"; done`,
		"ipengine":       "",
	})
	l := System.New()(sdk.Engine, sdk.Env{Log: hclog.NewNullLogger(), Changed: func(sdk.Change) {}})
	if _, ok := l.(sdk.Signaler); ok {
		t.Error("it can signal")
	}
	n := 4
	r := sdk.StartRequest{
		Kind: sdk.Engine, ID: "set", N: &n, ProfileDir: "/p", ClusterID: "c", LogDir: t.TempDir(), WorkDir: t.TempDir(),
		Command: []string{"ipengine", "--debug"}, Tag: "ipcore-tag-1",
	}
	if err := l.Start(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "submitted"))
	if err != nil || !strings.Contains(string(text), "executable = "+dir+"/bin/ipengine\n") || !strings.Contains(string(text), "arguments = \"--debug\"\n") || !strings.HasSuffix(string(text), "\nqueue 4\n") {
		t.Errorf("submitted was\n%s\n%v", text, err)
	}
	if err := l.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	all := calls()
	if !slices.Contains(all, "condor_rm 12") {
		t.Errorf("not removed: %q", all)
	}
	if n := len(slices.DeleteFunc(slices.Clone(all), func(c string) bool { return !strings.HasPrefix(c, "condor_submit ") })); n != 1 {
		t.Errorf("%d submissions: %q", n, all)
	}
}
