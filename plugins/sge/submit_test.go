package sge

import (
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/batch"
	"github.com/ipcore/ipcore/sdk/plugintest"
)

func request(t *testing.T, n int, options string) sdk.StartRequest {
	t.Helper()
	return sdk.StartRequest{
		Kind: sdk.Engine, ID: "set", N: &n, ProfileDir: "/p", ClusterID: "c", LogDir: t.TempDir(), WorkDir: t.TempDir(),
		Command: []string{"ipengine", "--debug"}, Options: []byte(options), Tag: "ipcore-tag-1",
	}
}

// The default script speaks to SGE, not to PBS: what SGE does not read it would
// pass over.
func TestDefaultScript(t *testing.T) {
	r := request(t, 4, `{"queue": "all.q", "time_limit": "1h", "memory": "1G", "project": "p"}`)
	s, err := System.New()(sdk.Engine, sdk.Host{}).(sdk.Scripter).Script(t.Context(), r, false)
	if err != nil {
		t.Fatal(err)
	}
	want := `#!/bin/sh
#$ -t 1-4
#$ -P p
#$ -l h_rt=1:00:00
#$ -l h_vmem=1024M
#$ -q all.q
#$ -j y
#$ -o ` + r.LogDir + `/ipengine-c-set-$TASK_ID.log
#$ -V
#$ -S /bin/sh
#$ -cwd
#$ -N ipcore-tag-1_set
cd ` + r.WorkDir + ` || echo 'ipcore: the folder does not exist on this node, continuing in' "$PWD" >&2
exec ipengine --debug
`
	if s.Text != want {
		t.Errorf("%s\nwant\n%s", s.Text, want)
	}
	r.Kind, r.N = sdk.Controller, nil
	if s, err = System.New()(sdk.Controller, sdk.Host{}).(sdk.Scripter).Script(t.Context(), r, false); err != nil || strings.Contains(s.Text, "#$ -t") || strings.Contains(s.Text, "$TASK_ID") {
		t.Errorf("a controller is an array: %v\n%s", err, s.Text)
	}
}

func TestTemplateDirectives(t *testing.T) {
	for text, name := range map[string]string{
		"#$ -q x": "queue", "#$ -N n -q x": "queue", "#$ -t 1-4": batch.DirectiveArray, "#$ -o f": "output_file", "#$ -l h_rt=1": "time_limit",
		"#$ -l s=1,h_vmem=1G": "memory", "#$ -N n": "name",
	} {
		if !System.Dialect.Directives[name].Match.MatchString("#!/bin/sh\n" + text + "\ntrue\n") {
			t.Errorf("%q is not found as %s", text, name)
		}
	}
	for text, name := range map[string]string{"#PBS -q x": "queue", "qsub -q x": "queue", "#$ -l s_rt=1": "time_limit", "# -t 1-4": batch.DirectiveArray} {
		if System.Dialect.Directives[name].Match.MatchString(text) {
			t.Errorf("%q was taken for %s", text, name)
		}
	}
}

// An array is submitted and deleted as a whole; there is no command for signals,
// and none is called.
func TestCommands(t *testing.T) {
	_, calls := plugintest.Commands(t, map[string]string{
		"qsub": "echo 7.1-4:1", "qdel": `: >"$HERE/gone"`, "qsig": "",
		"qstat": `tasks='<job_list state="running"><JB_job_number>7</JB_job_number><JB_name>ipcore-tag-1_set</JB_name><state>r</state><tasks>1-4:1</tasks></job_list>'
[ ! -e "$HERE/gone" ] || tasks=
case $1 in -j) [ -n "$tasks" ] || { echo 'Following jobs do not exist: 7' >&2; exit 1; } ;; esac
echo "<job_info><queue_info>$tasks</queue_info><job_info></job_info></job_info>"`,
		"qacct": `for i in 1 2 3 4; do printf '==============================================================\njobnumber 7\njobname ipcore-tag-1_set\ntaskid %s\nfailed 100 : assumedly after job\nexit_status 137\n' $i; done`,
	})
	l := System.New()(sdk.Engine, sdk.Host{Log: hclog.NewNullLogger(), Changed: func(sdk.Change) {}})
	if _, ok := l.(sdk.Signaler); ok {
		t.Error("it can signal")
	}
	if err := l.Start(t.Context(), request(t, 4, "")); err != nil {
		t.Fatal(err)
	}
	if err := l.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	all := calls()
	if !slices.Contains(all, "qdel 7") {
		t.Errorf("not deleted: %q", all)
	}
	if n := len(slices.DeleteFunc(slices.Clone(all), func(c string) bool { return !strings.HasPrefix(c, "qsub ") })); n != 1 {
		t.Errorf("%d submissions: %q", n, all)
	}
}
