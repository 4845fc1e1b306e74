//go:build unix

package batch

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ipcore/ipcore/sdk"
)

func scriptOf(t *testing.T, r sdk.StartRequest) (sdk.Script, error) {
	t.Helper()
	l, _ := newLauncher(t, toySystem().New(), r.Kind)
	return l.Script(t.Context(), r, false)
}

// A user's template is submitted byte for byte; options that it does not state go to the
// command line.
func TestOwnTemplate(t *testing.T) {
	const template = "#!/bin/sh\r\n#TOY queue {queue}\n#TOY array {n*2}\n\tmpiexec -n {n} {program_and_args} # {{}}\xff"
	r := request(t, 4, "", "/opt/ip core", "engine", "a'b")
	r.Options = []byte(`{"batch_template": ` + quoteJSON(template) + `, "queue": "long", "memory": "1G", "directives": ["extra 1"]}`)
	got, err := scriptOf(t, r)
	if err != nil {
		t.Fatal(err)
	}
	if want := "#!/bin/sh\r\n#TOY queue long\n#TOY array 8\n\tmpiexec -n 4 '/opt/ip core' engine 'a'\\''b' # {}"; !strings.HasPrefix(got.Text, want) {
		t.Errorf("%q\nwant\n%q", got.Text, want)
	}
	if !strings.Contains(got.Command, " memory 1024M ") || !strings.Contains(got.Command, " extra 1 ") || strings.Contains(got.Command, " queue long") {
		t.Errorf("command %s", got.Command)
	}

	file := filepath.Join(r.WorkDir, "own.sh")
	if err := os.WriteFile(file, []byte("n={n/3}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.Options = []byte(`{"batch_template_file": "own.sh"}`)
	if got, err := scriptOf(t, r); err != nil || got.Text != "n=1\n" || !strings.Contains(got.Command, "# template line 1: {n/3}: 4/3 is not a whole number") {
		t.Errorf("%+v, %v", got, err)
	}
}

// A template has the variables of IPython Parallel and those of the option namespace.
func TestVariables(t *testing.T) {
	const template = `{n}|{queue}|{profile_dir}|{cluster_id}|{output_file}|{program}|{program_args}|{program_and_args}|{environment_json}|{x} {y//2}`
	r := request(t, 4, "", "/opt/ip core", "engine", "a'b", "--c")
	r.ProfileDir = "/home/me/profile"
	r.Env = map[string]string{"IPP_CLUSTER_ID": "c", "IPP_SESSION_KEY": "hidden"}
	r.Options = []byte(`{"batch_template": ` + quoteJSON(template) + `, "queue": "long", "namespace": {"x": "more", "y": 9}}`)
	got, err := scriptOf(t, r)
	want := `4|long|/home/me/profile|c|` + r.LogDir + `/ipengine-c-set.log|'/opt/ip core' engine|'a'\''b' --c|'/opt/ip core' engine 'a'\''b' --c|{"IPP_CLUSTER_ID":"c"}|more 4`
	if err != nil || got.Text != want {
		t.Errorf("%s\nwant\n%s\n%v", got.Text, want, err)
	}
}

// The script is written where the options say, and only its owner has access.
func TestScriptFile(t *testing.T) {
	toyDir(t)
	for options, place := range map[string]string{
		``: "ipengine-c-set.toy", `{"batch_file_name": "own.sh"}`: "own.sh", `{"work_dir": "DIR"}`: "ipengine-c-set.toy", `{"work_dir": "DIR", "batch_file_name": "own.sh"}`: "own.sh",
	} {
		l, _ := newLauncher(t, toySystem().New(), sdk.Engine)
		folder := t.TempDir()
		r := request(t, 2, strings.ReplaceAll(options, "DIR", folder), "sleep", "300")
		switch {
		case options == "":
			folder = r.LogDir
		case !strings.Contains(options, "work_dir"):
			folder = r.WorkDir
		}
		if err := l.Start(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(folder, place)
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", options, info, err)
		}
		if text, err := os.ReadFile(file); err != nil || !strings.HasPrefix(string(text), "#!/bin/sh\n#TOY array 2\n") {
			t.Errorf("%s: %s, %v", options, text, err)
		}
		if err := l.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func quoteJSON(s string) string {
	return `"` + strings.NewReplacer("\r", `\r`, "\n", `\n`, "\t", `\t`, `"`, `\"`).Replace(s) + `"`
}

// The default script states everything that was requested, quoted.
func TestDefaultScript(t *testing.T) {
	r := request(t, 2, `{"queue": "long jobs", "time_limit": "1h30m", "prologue": "module load x", "environment": {"A": "it's $HOME"}, "drop_directives": ["memory"], "memory": "1G", "directives": ["extra {n}"]}`, "/bin/echo", "a b")
	r.Env = map[string]string{"IPP_CLUSTER_ID": "c", "IPP_CONNECTION_INFO": `{"key": "hidden"}`, "IPP_SESSION_KEY": "hidden"}
	r.Tag = "ipcore-tag-1"
	got, err := scriptOf(t, r)
	if err != nil {
		t.Fatal(err)
	}
	want := `#!/bin/sh
#TOY array 2
#TOY time 1:30:00
#TOY queue "long jobs"
#TOY output ` + r.LogDir + `/ipengine-c-set.spool
#TOY name ipcore-tag-1_set
#TOY extra {n}
ipcore_output=` + r.LogDir + `/ipengine-c-set-"$TOY_INDEX".log
if (umask 077; : >>"$ipcore_output"); then exec >>"$ipcore_output" 2>&1; fi
export IPP_CLUSTER_ID=c
. ` + r.LogDir + `/ipengine-c-set.toy.env
cd ` + r.WorkDir + ` || echo 'ipcore: the folder does not exist on this node, continuing in' "$PWD" >&2
module load x
exec /bin/echo 'a b'
`
	if got.Text != want {
		t.Errorf("%s\nwant\n%s", got.Text, want)
	}
}

func TestRefusedOptions(t *testing.T) {
	for options, want := range map[string]string{
		`{"queue": "a\nb"}`:                                "queue contains a line end",
		`{"queue": "a\u0000"}`:                             "control character",
		`{"directives": ["a\n#TOY x"]}`:                    "directives contains a line end",
		`{"gpus": 2}`:                                      "Toy has no directive for gpus",
		`{"nodes": -1}`:                                    "nodes is -1",
		`{"time_limit": "90"}`:                             "write 90m",
		`{"memory": "4096"}`:                               "must be a number with a unit",
		`{"poll_interval": 0.1}`:                           "poll_interval is 0.1",
		`{"job_id_regexp": "("}`:                           "job_id_regexp",
		`{"job_id_regexp": "x", "job_id_regexp_group": 1}`: "0 groups",
		`{"environment": {"a b": "c"}}`:                    `variable "a b"`,
		`{"environment": {"IPP_SESSION_KEY": "c"}}`:        "would show to everybody",
		`{"batch_template": "{que}"}`:                      `no variable "que"`,
		`{"batch_template_file": "/nowhere"}`:              "batch_template_file /nowhere",
		`{"namespace": {"x": 1}}`:                          "namespace needs a batch_template",
		`{"layout": "tasks"}`:                              "no directive for tasks",
		`{"layout": "x"}`:                                  "layout",
		`{"submit_command": ["toysub-nowhere"]}`:           "",
	} {
		_, err := scriptOf(t, request(t, 2, options, "true"))
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", options, err)
			}
			continue
		}
		if !errors.Is(err, sdk.ErrBadOption) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want something with %q", options, err, want)
		}
	}
	toyDir(t)
	l, _ := newLauncher(t, toySystem().New(), sdk.Engine)
	err := l.Start(t.Context(), request(t, 1, `{"submit_command": ["toysub-nowhere"]}`, "true"))
	if !errors.Is(err, sdk.ErrBadOption) || !strings.Contains(err.Error(), "toysub-nowhere was not found; is this test installed on this machine? --ToyLauncher.submit_command=") {
		t.Errorf("a missing command: %v", err)
	}
}

func TestAmounts(t *testing.T) {
	d := Dialect{}
	for text, want := range map[string]string{"90m": "1:30:00", "2d12h": "60:00:00", "1:30:00": "1:30:00", "1-12:00:00": "36:00:00", "90s": "0:01:30", "": ""} {
		if v, err := parseTime(text); err != nil || d.time(v) != want {
			t.Errorf("%q: %v, %s, want %s", text, err, d.time(v), want)
		}
	}
	for text, want := range map[string]string{"512M": "512M", "4G": "4096M", "1 TiB": "1048576M", "1500K": "2M", "": ""} {
		if v, err := parseMemory(text); err != nil || d.memory(v) != want {
			t.Errorf("%q: %v, %s, want %s", text, err, d.memory(v), want)
		}
	}
	for _, bad := range []string{"0m", "1", "1:00", "-1m", "9999999d"} {
		if v, err := parseTime(bad); err == nil {
			t.Errorf("%q: %v", bad, v)
		}
	}
	for _, bad := range []string{"0M", "1", "M", "999999999999T"} {
		if v, err := parseMemory(bad); err == nil {
			t.Errorf("%q: %v", bad, v)
		}
	}
}
