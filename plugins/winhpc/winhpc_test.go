package winhpc

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/batch"
	"github.com/ipcore/ipcore/sdk/plugintest"
)

const name = "ipcore-0123456789ab-set"

func job(n int, o batch.Settings) *batch.Job {
	j := &batch.Job{
		System: &System, Settings: &o,
		Request: sdk.StartRequest{Kind: sdk.Engine, ID: "set", Command: []string{`C:\ipcore.exe`, "engine", `--profile-dir=C:\my files\`, `say"so`}},
		N:       n, Name: name, WorkDir: `C:\work`, Output: `C:\logs\e.log`, Env: map[string]string{"IPP_CLUSTER_ID": "a & b"},
	}
	if n > 1 {
		j.Layout = batch.LayoutArray
	}
	return j
}

func TestJobFile(t *testing.T) {
	want, err := os.ReadFile("testdata/engines.xml")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("USERNAME", "u")
	t.Setenv("USERDOMAIN", "D")
	o := batch.Settings{Cores: 2, Exclusive: true, Queue: "Default", SystemOptions: map[string]json.RawMessage{"priority": json.RawMessage(`"Normal"`)}}
	got, err := compose(job(2, o))
	if err != nil || got != string(want) {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
	for _, bad := range []batch.Settings{
		{GPUs: 1}, {Processes: 2}, {Reservation: "r"}, {Prologue: batch.Lines{"x"}}, {Directives: []string{"x"}},
		{SystemOptions: map[string]json.RawMessage{"priority": json.RawMessage(`"Urgent"`)}},
	} {
		if _, err := compose(job(1, bad)); !errors.Is(err, sdk.ErrBadOption) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	controller := job(1, batch.Settings{})
	controller.Request.Kind = sdk.Controller
	if got, err := compose(controller); err != nil || strings.Count(got, "<Task ") != 1 || !strings.Contains(got, `Name="IPController"`) || strings.Contains(got, "IPEngine") {
		t.Errorf("a controller: %v\n%s", err, got)
	}
	if got := System.Dialect.Time(90*time.Minute + time.Millisecond); got != "5401" {
		t.Errorf("90 minutes and a little: %s seconds", got)
	}
}

// Words as CommandLineToArgvW splits them again.
func TestQuoteArgument(t *testing.T) {
	for word, want := range map[string]string{
		"plain": "plain", "": `""`, "a b": `"a b"`, `C:\x\`: `C:\x\`, `C:\my x\`: `"C:\my x\\"`,
		`say "so"`: `"say \"so\""`, `a\"b`: `"a\\\"b"`, `a\b c`: `"a\b c"`,
	} {
		if got := quoteArgument(word); got != want {
			t.Errorf("%q: %s, want %s", word, got, want)
		}
	}
}

func TestParse(t *testing.T) {
	got, err := parseList([]byte(`Job ID   Owner                Job Name             State        Priority
13       D\user               ipcore-0123456789ab  Queued       Highest
14       D\user               my own job           Running      Normal

2 matching job(s) for D\user
`))
	want := []batch.Record{
		{ID: "13", Index: -1, Name: "ipcore-0123456789ab", State: batch.Queued, Code: -1},
		{ID: "14", Index: -1, Name: "my own job", State: batch.Running, Code: -1},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\n%+v\nwant\n%+v", err, got, want)
	}
	if got, err := parseList([]byte("??\n")); err == nil {
		t.Errorf("garbage was taken for %+v", got)
	}

	details := `Job ID                           : 13
Job Name                         : set
State                            : Failed
   Running                       : 0
Error Message                    : One or more tasks in the job have failed.

Task 13.1 IPEngine
State                            : Finished
Exit Code                        : 0
Command Line                     : C:\ipcore.exe engine

Task 13.2 IPEngine
State                            : Failed
Exit Code                        : 3
Command Line                     : C:\ipcore.exe engine
`
	got, err = parseLookup(0, "13", []byte(details))
	want = []batch.Record{
		{ID: "13", Index: 1, State: batch.Completed},
		{ID: "13", Index: 2, State: batch.Failed, Code: 3},
		{ID: "13", Index: -1, State: batch.Failed, Code: -1, Reason: "One or more tasks in the job have failed."},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\n%+v\nwant\n%+v", err, got, want)
	}
	got, err = parseLookup(1, "13", []byte("Task ID    Task Name        State      Command Line\n13.1       IPEngine         Running    x\n13.2       IPEngine         Canceled   x\n"))
	want = []batch.Record{{ID: "13", Index: 1, State: batch.Running, Code: -1}, {ID: "13", Index: 2, State: batch.Cancelled, Code: -1}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\n%+v\nwant\n%+v", err, got, want)
	}
	if got, err := parseLookup(2, "13", []byte("Job ID : 13\nState : Canceling\n")); err != nil || len(got) != 1 || got[0].State != batch.Running {
		t.Errorf("%v %+v", err, got)
	}
	if got, err := parseLookup(0, "13", []byte("??")); err != nil || len(got) != 0 {
		t.Errorf("%v %+v", err, got)
	}
}

// A job file is submitted to the head node, and the job cancelled there; there is
// no command for signals.
func TestCommands(t *testing.T) {
	dir, calls := plugintest.Commands(t, map[string]string{"job": `case $1 in
submit) cp "${2#/jobfile:}" "$HERE/submitted"; echo 'Job has been submitted. ID: 13.' ;;
cancel) : >"$HERE/gone" ;;
list) [ -e "$HERE/gone" ] || echo '13 me ipcore-tag-1_set Running Normal'; echo '1 matching job(s)' ;;
*)
	state=Running; [ ! -e "$HERE/gone" ] || state=Canceled
	echo "State : $state"
	for i in 1 2; do printf '\nTask 13.%s IPEngine\nState : %s\n' $i $state; done ;;
esac`})
	l := System.New()(sdk.Engine, sdk.Host{Log: hclog.NewNullLogger(), Changed: func(sdk.Change) {}})
	if _, ok := l.(sdk.Signaler); ok {
		t.Error("it can signal")
	}
	n := 2
	r := sdk.StartRequest{
		Kind: sdk.Engine, ID: "set", N: &n, ProfileDir: "/p", ClusterID: "c", LogDir: t.TempDir(), WorkDir: t.TempDir(),
		Command: []string{"ipcore.exe", "engine"}, Options: []byte(`{"scheduler": "head1"}`), Tag: "ipcore-tag-1",
	}
	if err := l.Start(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "submitted"))
	if err != nil || strings.Count(string(text), "<Task ") != 2 {
		t.Errorf("submitted was %s, %v", text, err)
	}
	if err := l.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	all := calls()
	if first := all[0]; !strings.HasPrefix(first, "job submit /jobfile:/") || !strings.HasSuffix(first, " /scheduler:head1") {
		t.Errorf("submitted with %q", first)
	}
	if !slices.Contains(all, "job cancel 13 /scheduler:head1") {
		t.Errorf("not cancelled: %q", all)
	}
}

func TestAdapt(t *testing.T) {
	s := System
	o := &batch.Settings{SystemOptions: map[string]json.RawMessage{"scheduler": json.RawMessage(`"head1"`), "job_cmd": json.RawMessage(`"C:\\job.exe"`)}}
	if err := adapt(&s, o, nil); err != nil {
		t.Fatal(err)
	}
	if want := []string{`C:\job.exe`, "cancel", "{id}", "/scheduler:head1"}; !reflect.DeepEqual(s.Delete, want) || System.Delete[0] != "job" {
		t.Errorf("delete %q, the original %q", s.Delete, System.Delete)
	}
}
