package pbs

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/batch"
	"github.com/ipcore/ipcore/sdk/plugintest"
)

// stand-ins for a PBS whose one job runs until it is deleted.
func commands(t *testing.T, version, id string) func() []string {
	t.Helper()
	_, calls := plugintest.Commands(t, map[string]string{
		"qsub": `[ "$1" != --version ] || { echo "` + version + `"; exit; }
for f; do :; done; sed -n 's/^#PBS -N //p' "$f" >"$HERE/name"; echo '` + id + `'`,
		"qstat": `state=R; [ ! -e "$HERE/gone" ] || state=F
for i in 1 2 3 4; do printf 'Job Id: 8[%s].head1\n    Job_Name = %s\n    job_state = %s\n' $i "$(cat "$HERE/name")" $state; done`,
		"qdel": `: >"$HERE/gone"`, "qsig": "", "qselect": "",
	})
	return calls
}

func request(t *testing.T, n int, options map[string]any) sdk.StartRequest {
	t.Helper()
	text, err := json.Marshal(options)
	if err != nil {
		t.Fatal(err)
	}
	return sdk.StartRequest{
		Kind: sdk.Engine, ID: "set", N: &n, ProfileDir: "/home/me/.ipython/profile_pbs", ClusterID: "c", LogDir: t.TempDir(), WorkDir: t.TempDir(),
		Command: []string{"ipengine", "--profile-dir=/home/me/.ipython/profile_pbs"}, Options: text, Tag: "ipcore-tag-1",
	}
}

func scriptOf(t *testing.T, r sdk.StartRequest) sdk.Script {
	t.Helper()
	s, err := System.New()(r.Kind, sdk.Host{}).(sdk.Scripter).Script(t.Context(), r, false)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// directives returns the directives of a script without those that depend on a test's
// folders.
func directives(text string) []string {
	var all []string
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "#PBS "); ok && !strings.HasPrefix(rest, "-o ") {
			all = append(all, strings.TrimSpace(rest))
		}
	}
	return all
}

// OpenPBS and Torque are told the same in their own words.
func TestDefaultScript(t *testing.T) {
	for version, array := range map[string]string{"pbs_version = 23.06.06": "-J 1-4", "Version: 6.1.3": "-t 1-4"} {
		commands(t, version, "8[].head1")
		s := scriptOf(t, request(t, 4, map[string]any{"queue": "short", "time_limit": "90m"}))
		want := []string{array, "-l walltime=1:30:00", "-q short", "-j oe", "-V", "-S /bin/sh"}
		for _, w := range want {
			if !slices.Contains(directives(s.Text), w) {
				t.Errorf("%s: %q is not in\n%s", version, w, s.Text)
			}
		}
		if !strings.HasPrefix(s.Text, "#!/bin/sh\n#PBS ") || !strings.Contains(s.Text, "\n#PBS -o ") || !strings.HasSuffix(s.Text, "\nexec ipengine --profile-dir=/home/me/.ipython/profile_pbs\n") {
			t.Errorf("%s:\n%s", version, s.Text)
		}
		r := request(t, 0, nil)
		r.Kind, r.N = sdk.Controller, nil
		if s := scriptOf(t, r); strings.Contains(s.Text, "1-") || !strings.Contains(s.Text, "\n#PBS -j oe\n") {
			t.Errorf("%s: a controller is an array:\n%s", version, s.Text)
		}
	}
}

// A site's own template, as upstream's manual has one, is submitted byte for byte;
// what it says itself is not said again.
func TestTemplateOfManual(t *testing.T) {
	commands(t, "pbs_version = 23.06.06", "8.head1")
	const template = `#PBS -N ipython
#PBS -j oe
#PBS -l walltime=00:10:00
#PBS -l nodes={n/4}:ppn=4
#PBS -q {queue}
cd $PBS_O_WORKDIR
export PYTHONPATH=$HOME/lib/python
/usr/local/bin/mpiexec -n {n} ipengine --profile-dir={profile_dir}
`
	const want = `#PBS -N ipython
#PBS -j oe
#PBS -l walltime=00:10:00
#PBS -l nodes=32:ppn=4
#PBS -q veryshort.q
cd $PBS_O_WORKDIR
export PYTHONPATH=$HOME/lib/python
/usr/local/bin/mpiexec -n 128 ipengine --profile-dir=/home/me/.ipython/profile_pbs
`
	s := scriptOf(t, request(t, 128, map[string]any{"batch_template": template, "queue": "veryshort.q", "time_limit": "1h"}))
	if s.Text != want {
		t.Errorf("%q\nwant\n%q", s.Text, want)
	}
	for _, flag := range []string{" -N ", " -q ", " -J ", " -l "} {
		if strings.Contains(s.Command, flag) {
			t.Errorf("%q is said again: %s", flag, s.Command)
		}
	}
}

func TestTemplateDirectives(t *testing.T) {
	for text, name := range map[string]string{
		"#PBS -q x": "queue", "#PBS -N n -q x": "queue", "#PBS -J 1-4": batch.DirectiveArray, "#PBS -t 1-4": batch.DirectiveArray,
		"#PBS -o f": "output_file", "#PBS -l nodes=1,walltime=1": "time_limit", "#PBS -N n": "name", "#PBS -A a": "account",
	} {
		if !System.Dialect.Directives[name].Match.MatchString("#!/bin/sh\n" + text + "\ntrue\n") {
			t.Errorf("%q is not found as %s", text, name)
		}
	}
	for text, name := range map[string]string{"# PBS -q x": "queue", "qsub -q x": "queue", "#PBS -l nodes=1": "time_limit", "#PBS -W x": batch.DirectiveArray} {
		if System.Dialect.Directives[name].Match.MatchString(text) {
			t.Errorf("%q was taken for %s", text, name)
		}
	}
}

// An array is submitted, signalled and deleted as a whole, by the id with brackets
// that qsub answered.
func TestCommands(t *testing.T) {
	calls := commands(t, "pbs_version = 23.06.06", "8[].head1")
	l := System.New()(sdk.Engine, sdk.Host{Log: hclog.NewNullLogger(), Changed: func(sdk.Change) {}})
	if err := l.Start(t.Context(), request(t, 4, nil)); err != nil {
		t.Fatal(err)
	}
	if err := l.(sdk.Signaler).Signal(t.Context(), "INT"); err != nil {
		t.Error(err)
	}
	if err := l.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	all := calls()
	for _, want := range []string{"qsig -s 2 8[].head1", "qdel 8[].head1"} {
		if !slices.Contains(all, want) {
			t.Errorf("%q is not among %q", want, all)
		}
	}
	if n := len(slices.DeleteFunc(slices.Clone(all), func(c string) bool { return !strings.HasPrefix(c, "qsub /") })); n != 1 {
		t.Errorf("%d submissions: %q", n, all)
	}
}
