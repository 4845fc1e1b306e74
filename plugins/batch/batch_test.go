//go:build unix

package batch

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/sdk"
)

// site is a system that nobody has heard of: four shell scripts in testdata/site.
func site(t *testing.T) map[string]any {
	t.Helper()
	for _, tool := range []string{"setsid", "ps", "awk", "seq"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not here: apt-get install util-linux procps mawk coreutils", tool)
		}
	}
	bin, err := filepath.Abs("testdata/site")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	t.Setenv("SITE_DIR", dir)
	t.Cleanup(func() {
		jobs, _ := filepath.Glob(filepath.Join(dir, "*", "script"))
		for _, j := range jobs {
			_ = exec.Command(filepath.Join(bin, "del"), filepath.Base(filepath.Dir(j))).Run()
		}
	})
	return map[string]any{
		"title": "Site", "script_on_stdin": true,
		"submit_command": []string{filepath.Join(bin, "sub")}, "job_id_regexp": `JOB_ID=(\d+)`,
		"delete_command": []string{filepath.Join(bin, "del")}, "signal_command": []string{filepath.Join(bin, "sig")},
		"status_command": []string{filepath.Join(bin, "stat")}, "poll_interval": 1,
		"status_regexp": `(?m)^(?P<id>\d+) (?P<index>\S+) (?P<state>[A-Z]) (?P<code>\S+) (?P<name>.*)$`,
		"empty_regexp":  "^ID INDEX",
		"states":        map[string]string{"W": "queued", "R": "running", "T": "completed", "E": "failed", "K": "cancelled"},
		"gone_regexp":   "no job", "down_regexp": "does not answer",
		"directive_prefix": "#SITE ", "directive_forms": map[string]string{"array": "array {n}", "name": "name {value}"},
		"array_index": "$SITE_INDEX", "first_index": 0,
	}
}

func encode(t *testing.T, options map[string]any) json.RawMessage {
	t.Helper()
	text, err := json.Marshal(options)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// A set on a system of four shell scripts: one engine ends by itself, the others
// are stopped; a garbled answer says nothing.
func TestSite(t *testing.T) {
	options := site(t)
	r := request(t, options, 3)
	r.Command = []string{"/bin/sh", "-c", `[ "$SITE_INDEX" != 1 ] || exit 7; exec sleep 300`}
	changes := make(chan sdk.Change, 10)
	l := System.New()(sdk.Engine, sdk.Host{Log: hclog.NewNullLogger(), Changed: func(c sdk.Change) { changes <- c }})
	if err := l.Start(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if c := <-changes; c.Index != 1 || c.Exit.Code != 7 {
		t.Errorf("told %+v", c)
	}
	state, err := l.ToDict(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	fault := filepath.Join(os.Getenv("SITE_DIR"), "garbage")
	if err := os.WriteFile(fault, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	again := func() (sdk.Launcher, error) {
		l := System.New()(sdk.Engine, sdk.Host{Log: hclog.NewNullLogger(), Changed: func(sdk.Change) {}})
		return l, l.FromDict(t.Context(), state)
	}
	if _, err := again(); !errors.Is(err, sdk.ErrUnknownStatus) {
		t.Errorf("FromDict on a garbled answer: %v", err)
	}
	if err := os.Remove(fault); err != nil {
		t.Fatal(err)
	}
	if _, err := again(); err != nil {
		t.Errorf("FromDict: %v", err)
	}
	if err := l.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := again(); !errors.Is(err, sdk.ErrNotRunning) {
		t.Errorf("FromDict after Stop: %v", err)
	}
}

func request(t *testing.T, options map[string]any, n int) sdk.StartRequest {
	t.Helper()
	return sdk.StartRequest{
		Kind: sdk.Engine, ID: "s", N: &n, ProfileDir: t.TempDir(), LogDir: t.TempDir(), WorkDir: t.TempDir(), ClusterID: "c",
		Command: []string{"/bin/echo", "it's"}, Options: encode(t, options),
	}
}

func TestScript(t *testing.T) {
	options := site(t)
	l := System.New()(sdk.Engine, sdk.Host{})
	r := request(t, options, 3)
	got, err := l.(sdk.Scripter).Script(t.Context(), r, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"#!/bin/sh\n#SITE array 3\n#SITE name ipcore-", `-'"$SITE_INDEX".log`, "exec /bin/echo 'it'\\''s'\n"} {
		if !strings.Contains(strings.ReplaceAll(got.Text, "-\"$SITE_INDEX\"", "-'\"$SITE_INDEX\""), want) {
			t.Errorf("%q is not in\n%s", want, got.Text)
		}
	}
	if entries, err := os.ReadDir(r.LogDir); err != nil || len(entries) > 0 {
		t.Errorf("Script wrote %v, %v", entries, err)
	}
	if !strings.Contains(got.Command, "testdata/site/sub < /") {
		t.Errorf("command %s", got.Command)
	}
	if _, err := l.(sdk.Scripter).Script(t.Context(), r, true); !errors.Is(err, sdk.ErrUnsupported) {
		t.Errorf("check: %v", err)
	}
}

func TestBadOptions(t *testing.T) {
	for name, change := range map[string]func(map[string]any){
		"submit_command":               func(o map[string]any) { delete(o, "submit_command") },
		"status_regexp is not":         func(o map[string]any) { delete(o, "status_regexp") },
		"group (?P<id>":                func(o map[string]any) { o["status_regexp"] = `(\d+)` },
		"states is not given":          func(o map[string]any) { delete(o, "states") },
		`"dead" for "E"`:               func(o map[string]any) { o["states"] = map[string]string{"E": "dead"} },
		`directive_forms has "colour"`: func(o map[string]any) { o["directive_forms"] = map[string]string{"colour": "red"} },
		"array_index or output_index":  func(o map[string]any) { delete(o, "array_index") },
		"no directive for queue":       func(o map[string]any) { o["queue"] = "q" },
		"no directive for array":       func(o map[string]any) { o["directive_forms"] = map[string]string{} },
		"gone_regexp":                  func(o map[string]any) { o["gone_regexp"] = "(" },
		"sub-nowhere was not found":    func(o map[string]any) { o["submit_command"] = []string{"sub-nowhere"} },
	} {
		options := site(t)
		change(options)
		err := System.New()(sdk.Engine, sdk.Host{Changed: func(sdk.Change) {}}).Start(t.Context(), request(t, options, 2))
		if !errors.Is(err, sdk.ErrBadOption) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
