package plugin

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ipcore/ipcore/core/launch/registry"
	"github.com/ipcore/ipcore/sdk"
)

// TestExampleFromOutside copies examples/mine out of the repository, builds it there as a
// third party would, uses it, replaces it by a newer build, and deletes it.
func TestExampleFromOutside(t *testing.T) {
	root, err := filepath.Abs(filepath.Join("..", "..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	src := t.TempDir()
	for _, name := range []string{"main.go", "go.mod", "go.sum"} {
		b, err := os.ReadFile(filepath.Join(root, "examples", "mine", name))
		if err != nil {
			t.Fatal(err)
		}
		if name == "main.go" && strings.Count(string(b), "\n") > 40 {
			t.Errorf("the smallest launcher has %d lines, it has to fit into 40", strings.Count(string(b), "\n"))
		}
		if err := os.WriteFile(filepath.Join(src, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(t.TempDir(), "ipcore-launcher-mine")
	run(t, src, "go", "mod", "edit", "-replace", "github.com/ipcore/ipcore="+root)
	build := func(version string) {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(src, "main.go"))
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Replace(string(b), `Version: "1.0.0"`, `Version: "`+version+`"`, 1)
		if err := os.WriteFile(filepath.Join(src, "main.go"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		run(t, src, "go", "build", "-o", out, ".")
	}
	deps := run(t, src, "go", "list", "-deps", ".")
	if strings.Contains(deps, "ipcore/ipcore/core") || strings.Contains(deps, "ipcore/ipcore/plugins") || strings.Contains(deps, "zmq4") {
		t.Errorf("the example depends on more than the sdk:\n%s", deps)
	}

	s := registry.Search{Getenv: func(k string) string {
		if k == "IPCORE_LAUNCHER_PATH" {
			return filepath.Dir(out)
		}
		return ""
	}}
	ctx := testContext(t)
	var state sdk.State
	for _, version := range []string{"1.0.0", "1.1.0"} {
		build(version)
		f, err := registry.Find(ctx, sdk.Engine, "mine", s)
		if err != nil {
			t.Fatal(err)
		}
		if f.Info.Version != version {
			t.Errorf("found version %s, built %s", f.Info.Version, version)
		}
		p, err := Open(ctx, f, OpenOptions{Log: testLog(t)})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		l := p.Workload(sdk.Engine, "s")
		if state == nil {
			if state, err = l.Start(ctx, sleepers(t, 2)); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if _, err := l.FromDict(ctx, state); err != nil {
			t.Fatalf("the newer build does not find the older one's engines: %v", err)
		}
		if err := l.Stop(ctx); err != nil {
			t.Error(err)
		}
	}
	if err := os.Remove(out); err != nil {
		t.Fatal(err)
	}
	_, err = registry.Find(ctx, sdk.Engine, "mine", s)
	if missing, ok := errors.AsType[*registry.NotFoundError](err); !ok || !strings.Contains(missing.Hint(), filepath.Dir(out)) {
		t.Errorf("after it was deleted: %v", err)
	}
}

func run(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}
