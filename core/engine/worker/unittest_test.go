package worker

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// interpreters returns the Python interpreters that the worker's own tests run with: python3 on PATH, the system's, those that
// the environment names as having a client library, and those that IPCORE_TEST_PYTHONS lists as PATH lists folders.
func interpreters(t *testing.T) []string {
	t.Helper()
	candidates := []string{"/usr/bin/python3", os.Getenv("IPCORE_TEST_PY71"), os.Getenv("IPCORE_TEST_PY91")}
	if p, err := exec.LookPath("python3"); err == nil {
		candidates = append(candidates, p)
	}
	candidates = append(candidates, filepath.SplitList(os.Getenv("IPCORE_TEST_PYTHONS"))...)
	const about = "import sys; print(sys.version_info >= (3, 8), sys.prefix, sys.version)"
	var found, seen []string
	for _, c := range candidates {
		if c == "" {
			continue
		}
		out, err := exec.Command(c, "-c", about).Output()
		if err != nil || !strings.HasPrefix(string(out), "True") || slices.Contains(seen, string(out)) {
			continue
		}
		seen = append(seen, string(out))
		found = append(found, c)
	}
	return found
}

// TestPython runs the worker's own tests, which start it over a real socket pair, with each interpreter.
func TestPython(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the worker needs descriptors that are inherited")
	}
	all := interpreters(t)
	if len(all) == 0 {
		t.Skip("no python3 of version 3.8 or newer")
	}
	for _, python := range all {
		t.Run(strings.ReplaceAll(strings.TrimPrefix(python, "/"), "/", "_"), func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, python, "-B", "-m", "unittest", "discover", "python")
			cmd.WaitDelay = 10 * time.Second
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			t.Log(lines[len(lines)-1])
		})
	}
}
