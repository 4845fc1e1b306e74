package slurm

import (
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/plugintest"
)

func request(t *testing.T, n int, options string) sdk.StartRequest {
	t.Helper()
	return sdk.StartRequest{
		Kind: sdk.Engine, ID: "set", N: &n, ProfileDir: "/p", ClusterID: "c", LogDir: t.TempDir(), WorkDir: t.TempDir(),
		Command: []string{"ipengine", "--debug"}, Options: []byte(options), Tag: "ipcore-tag-1",
	}
}

// Engines are the elements of one array, or the tasks of one job that srun starts.
// Slurm's own options are in the script, and further options of sbatch on its command
// line.
func TestDefaultScript(t *testing.T) {
	const options = `"account": "acct", "qos": "high", "timelimit": "1:00", "queue": "debug", "options": "--nice=5 --constraint=fast"`
	for name, c := range map[string]struct {
		options, first, output, last string
	}{
		"array": {`{` + options + `}`, "--array=1-4", "ipengine-c-set-%a.log", "exec ipengine --debug"},
		"tasks": {`{"layout": "tasks", ` + options + `}`, "--ntasks=4", "ipengine-c-set.log", "exec srun ipengine --debug"},
	} {
		r := request(t, 4, c.options)
		s, err := System.New()(sdk.Engine, sdk.Host{}).(sdk.Scripter).Script(t.Context(), r, false)
		if err != nil {
			t.Fatal(err)
		}
		want := `#!/bin/sh
#SBATCH ` + c.first + `
#SBATCH --qos=high
#SBATCH --time=1:00
#SBATCH --account=acct
#SBATCH --partition=debug
#SBATCH --output=` + r.LogDir + `/` + c.output + `
#SBATCH --export=ALL
#SBATCH --job-name=ipcore-tag-1_set
#SBATCH --comment=ipcore-tag-1
cd ` + r.WorkDir + ` || echo 'ipcore: the folder does not exist on this node, continuing in' "$PWD" >&2
` + c.last + "\n"
		if s.Text != want {
			t.Errorf("%s:\n%s\nwant\n%s", name, s.Text, want)
		}
		if !strings.HasPrefix(s.Command, "sbatch --parsable --nice=5 --constraint=fast /") {
			t.Errorf("%s: command %s", name, s.Command)
		}
	}
	r := request(t, 1, "")
	r.Kind, r.N = sdk.Controller, nil
	if s, err := System.New()(sdk.Controller, sdk.Host{}).(sdk.Scripter).Script(t.Context(), r, false); err != nil || strings.Contains(s.Text, "--array") || strings.Contains(s.Text, "--ntasks") {
		t.Errorf("a controller is started more than once: %v\n%s", err, s.Text)
	}
}

// An array is submitted, signalled with its batch step, and cancelled as a whole.
func TestCommands(t *testing.T) {
	_, calls := plugintest.Commands(t, map[string]string{
		"sbatch": "echo '7;cluster'", "sacct": "exit 1", "scontrol": "exit 1",
		"scancel": `case $1 in --full) ;; *) : >"$HERE/gone" ;; esac`,
		"squeue": `state=RUNNING; [ ! -e "$HERE/gone" ] || state=CANCELLED
for i in 1 2 3 4; do printf '%-64s%-24s%-16s%-208s%-64s%-96s\n' 7_$i $state 0 ipcore-tag-1_set ipcore-tag-1 None; done`,
	})
	l := System.New()(sdk.Engine, sdk.Host{Log: hclog.NewNullLogger(), Changed: func(sdk.Change) {}})
	if err := l.Start(t.Context(), request(t, 4, "")); err != nil {
		t.Fatal(err)
	}
	if err := l.(sdk.Signaler).Signal(t.Context(), "SIGINT"); err != nil {
		t.Error(err)
	}
	if err := l.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	all := calls()
	for _, want := range []string{"scancel --full --signal=2 7", "scancel 7"} {
		if !slices.Contains(all, want) {
			t.Errorf("%q is not among %q", want, all)
		}
	}
	if n := len(slices.DeleteFunc(slices.Clone(all), func(c string) bool { return !strings.HasPrefix(c, "sbatch ") })); n != 1 {
		t.Errorf("%d submissions: %q", n, all)
	}
}
