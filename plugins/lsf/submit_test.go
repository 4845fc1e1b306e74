package lsf

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/batch"
	"github.com/ipcore/ipcore/sdk/plugintest"
)

// commands are stand-ins for an LSF whose one job runs until it is killed.
func commands(t *testing.T) (dir string, calls func() []string) {
	t.Helper()
	return plugintest.Commands(t, map[string]string{
		"bsub":  `cat >"$HERE/script"; env >"$HERE/env"; echo 'Job <101> is submitted to default queue <normal>.'`,
		"bkill": `case $1 in -s) ;; *) : >"$HERE/gone" ;; esac`,
		"bjobs": `if [ "$1" = -l ]; then
	for i in 1 2 3 4; do printf 'Job <101[%s]>, Job Name <ipcore-tag-1_set[1-4]>, User <me>, Project <default>, Status <EXIT>, Queue <normal>, Command <x>\n Exited by LSF signal SIGKILL.\n Completed <exit>; TERM_OWNER: job killed by owner.\n\n' $i; done
	exit
fi
[ ! -e "$HERE/gone" ] || { echo 'No unfinished job found' >&2; exit 255; }
echo 'JOBID   USER    STAT  QUEUE      FROM_HOST   EXEC_HOST   JOB_NAME   SUBMIT_TIME'
for i in 1 2 3 4; do echo "101 me RUN normal head1 node1 ipcore-tag-1_set[$i] Nov 25 21:03"; done`,
	})
}

func request(t *testing.T, n int, options string) sdk.StartRequest {
	t.Helper()
	return sdk.StartRequest{
		Kind: sdk.Engine, ID: "set", N: &n, ProfileDir: "/p", ClusterID: "c", LogDir: t.TempDir(), WorkDir: t.TempDir(),
		Command: []string{"ipengine", "it's"}, Options: []byte(options), Tag: "ipcore-tag-1", Env: map[string]string{"IPP_CLUSTER_ID": "c", "IPP_SESSION_KEY": "5ecre7"},
	}
}

// bsub gets the script on its standard input, and the engines' variables with the
// one that has output written at once; bkill gets the job, and signals by number.
func TestCommands(t *testing.T) {
	dir, calls := commands(t)
	l := System.New()(sdk.Engine, sdk.Host{Log: hclog.NewNullLogger(), Changed: func(sdk.Change) {}})
	r := request(t, 4, `{"queue": "short"}`)
	if err := l.Start(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	want := "#!/bin/sh\n#BSUB -J \"ipcore-tag-1_set[1-4]\"\n#BSUB -q short\n#BSUB -o " + r.LogDir + "/ipengine-c-set-%I.log\nexport IPP_CLUSTER_ID=c\ncd "
	if got := read("script"); !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "\nexec ipengine 'it'\\''s'\n") {
		t.Errorf("on standard input was\n%s\nwant the beginning\n%s", got, want)
	}
	env := strings.Split(read("env"), "\n")
	if !slices.Contains(env, "LSB_STDOUT_DIRECT=Y") || !slices.Contains(env, "IPP_CLUSTER_ID=c") || strings.Contains(read("env"), "5ecre7") {
		t.Errorf("bsub saw %q", env)
	}
	if err := l.(sdk.Signaler).Signal(t.Context(), "INT"); err != nil {
		t.Error(err)
	}
	if err := l.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	all := calls()
	for _, c := range []string{"bsub ", "bkill -s 2 101", "bkill 101"} {
		if !slices.Contains(all, c) {
			t.Errorf("%q is not among %q", c, all)
		}
	}
}

func TestControllerIsNoArray(t *testing.T) {
	commands(t)
	r := request(t, 1, "")
	r.Kind, r.N = sdk.Controller, nil
	s, err := System.New()(sdk.Controller, sdk.Host{}).(sdk.Scripter).Script(t.Context(), r, false)
	if err != nil || strings.Contains(s.Text, "[") || !strings.Contains(s.Text, "\n#BSUB -J ipcore-tag-1_set\n") || !strings.HasPrefix(s.Command, "bsub < ") {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestTemplateDirectives(t *testing.T) {
	for text, name := range map[string]string{
		"#BSUB -q x": "queue", "    #BSUB -q x": "queue", "#BSUB -J n -q x": "queue", `#BSUB -J "n[1-4]"`: batch.DirectiveArray, "#BSUB -J n[1-4]": batch.DirectiveArray,
		"#BSUB -o f": "output_file", "#BSUB -oo f": "output_file", "#BSUB -W 1:00": "time_limit", "#BSUB -x": "exclusive",
	} {
		if !System.Dialect.Directives[name].Match.MatchString("#!/bin/sh\n" + text + "\ntrue\n") {
			t.Errorf("%q is not found as %s", text, name)
		}
	}
	for text, name := range map[string]string{"# BSUB -q x": "queue", "bsub -q x": "queue", "#BSUB -J n": batch.DirectiveArray, "#BSUB -e f": "output_file"} {
		if System.Dialect.Directives[name].Match.MatchString(text) {
			t.Errorf("%q was taken for %s", text, name)
		}
	}
}
