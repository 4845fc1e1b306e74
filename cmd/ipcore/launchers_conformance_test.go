package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ipcore/ipcore/core/launch/registry"
	"github.com/ipcore/ipcore/core/launch/settings"
	"github.com/ipcore/ipcore/internal/testbuild"
	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/conformance"
)

// runChecks runs the conformance checks on an executable. It returns the report and
// the exit code.
func runChecks(t *testing.T, args ...string) ([]conformance.Result, int) {
	t.Helper()
	cmd := exec.Command(filepath.Join(bin, "ipcore"), append([]string{"launchers", "test", "--json"}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	cmd.Stderr = os.Stderr
	out, _ := cmd.Output() // the exit code is checked by the caller
	var results []conformance.Result
	if err := json.Unmarshal(out, &results); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return results, cmd.ProcessState.ExitCode()
}

// faults are the faults that testdata/broken can have: which checks are run, and which
// of them must fail. The others must pass.
var faults = map[string]struct{ run, fail string }{
	"hello":    {"describe", "describe"},
	"helpless": {"describe", "describe-options"},
	"chatters": {"handshake", "stdout-silent"},
	"open":     {"handshake", "tls-no-certificate tls-unknown-ca"},
	"claims":   {"handshake", "version-unknown"},
	"panics":   {"start", "start-default-n"},
	"glues":    {"start", "command-exact"},
	"swallows": {"start", "environment"},
	"litters":  {"start,leftovers", "leftovers start-missing-program"},
	"vague":    {"request", "unknown-id"},
	"polite":   {"stop", "stop-children stop-ignores-sigterm"},
	"blind":    {"workload-exit", "ended-before-events engine-killed exit-code workload-killed"},
	"ageless":  {"restore", "restore-newer-version"},
	"believes": {"restore", "restore-ended restore-killed restore-newer-version"},
	"stutters": {"events", "events-cancel events-many events-order events-resume"},
	"clings":   {"detach", "detach"},
	"waits":    {"status", "status status-ended"},
	"mute":     {"output", "output output-binary output-ended"},
	"first":    {"signal", "signal signal-kill"},
	"promises": {"capabilities", "capability-undeclared"},
	"telltale": {"secrets", "secret-arguments"},
	"blabs":    {"secrets", "secret-state"},
	"inherits": {"plugin-exit", "pipes-closed"},
	"loose":    {"host-gone*", "host-gone host-gone-unnamed"},
}

// TestFaults runs the checks on launchers that have one fault each.
func TestFaults(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(bin, "broken"+testbuild.Suffix())
	for fault, c := range faults {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(dir, "ipcore-launcher-"+fault)
			if err := os.Symlink(binary, path); err != nil {
				t.Fatal(err)
			}
			results, code := runChecks(t, path, "--check="+c.run, "--patience=10s")
			var failed, seen []string
			for _, r := range results {
				if r.Outcome == conformance.Fail {
					failed = append(failed, r.Check)
					seen = append(seen, r.Check+": "+r.Seen)
				}
			}
			slices.Sort(failed)
			if got := strings.Join(failed, " "); got != c.fail || code != 1 {
				t.Errorf("failed (exit code %d): %s\nwant: %s\n%s", code, got, c.fail, strings.Join(seen, "\n"))
			}
		})
	}
}

// TestConformanceOptions checks which kinds of workload get which options.
func TestConformanceOptions(t *testing.T) {
	f := &registry.Executable{Name: "mine", Info: sdk.Info{
		Name: "mine", Kinds: []sdk.Kind{sdk.Controller, sdk.Engine},
		Classes: map[sdk.Kind][]string{sdk.Controller: {"MineControllerLauncher", "MineLauncher"}, sdk.Engine: {"MineEngineSetLauncher", "MineLauncher"}},
		Options: []sdk.Option{
			{Name: "queue", Type: sdk.TypeString}, {Name: "hosts", Type: sdk.TypeList}, {Name: "delay", Type: sdk.TypeFloat, Kinds: []sdk.Kind{sdk.Engine}},
		},
	}}
	class := func(name, trait, word string) settings.Setting {
		return settings.Setting{Class: name, Trait: trait, Words: []string{word}}
	}
	for _, c := range []struct {
		options            []string
		settings           []settings.Setting
		controller, engine string
		wrong              string
	}{
		{},
		{options: []string{"queue=debug"}, controller: `{"queue":"debug"}`, engine: `{"queue":"debug"}`},
		{options: []string{`queue="12"`, `hosts=["a"]`}, controller: `{"hosts":["a"],"queue":"12"}`, engine: `{"hosts":["a"],"queue":"12"}`},
		{options: []string{"queue=12", "queue="}, controller: `{"queue":""}`, engine: `{"queue":""}`},
		{options: []string{"delay=0.5"}, engine: `{"delay":0.5}`},
		{
			options: []string{"queue=all"}, settings: []settings.Setting{class("MineControllerLauncher", "queue", "one"), class("MineLauncher", "hosts", "a")},
			controller: `{"hosts":["a"],"queue":"one"}`, engine: `{"hosts":["a"],"queue":"all"}`,
		},
		{settings: []settings.Setting{class("MineEngineSetLauncher", "delay", "2")}, engine: `{"delay":2}`},
		{options: []string{"queue"}, wrong: "not of the form NAME=VALUE"},
		{options: []string{"queu=x"}, wrong: "no such option"},
		{settings: []settings.Setting{class("SlurmLauncher", "queue", "x")}, wrong: "SlurmLauncher applies to no launcher"},
		{settings: []settings.Setting{class("mine", "engine_cmd", "x")}, wrong: "the checks run workloads of their own"},
	} {
		got, err := (&conformanceOptions{options: c.options}).launcherOptions(f, c.settings)
		switch {
		case c.wrong != "":
			if err == nil || !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%q %v: %v", c.options, c.settings, err)
			}
		case err != nil || string(got[sdk.Controller]) != c.controller || string(got[sdk.Engine]) != c.engine:
			t.Errorf("%q %v: %s, %v", c.options, c.settings, got, err)
		}
	}
}
