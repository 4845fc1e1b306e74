package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ipcore/ipcore/sdk/kit"
)

// testKit runs the kit on an executable and answers its report and exit code.
func testKit(t *testing.T, args ...string) ([]kit.Result, int) {
	t.Helper()
	cmd := exec.Command(filepath.Join(bin, "ipcore"), append([]string{"launchers", "test", "--json"}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	cmd.Stderr = os.Stderr
	out, _ := cmd.Output() // the exit code is looked at
	var results []kit.Result
	if err := json.Unmarshal(out, &results); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return results, cmd.ProcessState.ExitCode()
}

// faults are what testdata/broken can do wrong: which checks are run, and which
// of them have to fail. All others of them have to pass.
var faults = map[string]struct{ run, fail string }{
	"hello":    {"describe", "describe"},
	"helpless": {"describe", "describe-options"},
	"chatters": {"handshake", "stdout-silent"},
	"open":     {"handshake", "tls-no-certificate tls-stranger"},
	"claims":   {"handshake", "version-unknown"},
	"panics":   {"start", "start-default-n"},
	"glues":    {"start", "command-exact"},
	"swallows": {"start", "environment"},
	"litters":  {"start,orphans", "orphans start-no-program"},
	"vague":    {"request", "unknown-id"},
	"polite":   {"stop", "stop-children stop-deaf"},
	"blind":    {"lost", "end-code end-early lost-all lost-one"},
	"ageless":  {"restore", "restore-newer"},
	"believes": {"restore", "restore-ended restore-lost restore-newer"},
	"stutters": {"events", "events-cancel events-many events-order events-resume"},
	"clings":   {"detach", "detach"},
	"waits":    {"status", "status status-ended"},
	"mute":     {"output", "output output-bytes output-ended"},
	"first":    {"signal", "signal signal-kill"},
	"promises": {"powers", "powers-undeclared"},
	"telltale": {"secrets", "secret-arguments"},
	"blabs":    {"secrets", "secret-state"},
	"inherits": {"end", "pipes-free"},
	"loose":    {"leash*", "leash leash-unknown"},
}

// TestFaults runs the kit on launchers that have one fault each.
func TestFaults(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "broken")
	if out, err := exec.Command("go", "build", "-o", binary, "./testdata/broken").CombinedOutput(); err != nil {
		t.Fatalf("build the broken launcher: %v\n%s", err, out)
	}
	for fault, c := range faults {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(dir, "ipcore-launcher-"+fault)
			if err := os.Symlink(binary, path); err != nil {
				t.Fatal(err)
			}
			results, code := testKit(t, path, "--check="+c.run, "--patience=10s")
			var failed, seen []string
			for _, r := range results {
				if r.Outcome == kit.Fail {
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
