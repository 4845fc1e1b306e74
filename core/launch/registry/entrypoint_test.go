package registry

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ipcore/ipcore/sdk"
)

// pythonBridge is a bridge whose Python has one launcher. It records its arguments.
const pythonBridge = `#!/bin/sh
echo "$@" >>"${0%/*}/calls"
case "$1 $3" in
"entry-points "*) echo '[{"name": "Mine", "kind": "engine", "class": "pkg:Class"}]' ;;
"entry-point mine" | "entry-point pkg.Class")
	mkdir -p "$4"
	printf '#!/bin/sh\necho %s\n' "'{\"name\":\"mine\",\"version\":\"2\",\"kinds\":[\"engine\"],\"protocol\":[1],\"speaks\":\"verbs\"}'" >"$4/ipcore-launcher-mine"
	chmod 700 "$4/ipcore-launcher-mine"
	echo "$4/ipcore-launcher-mine" ;;
"entry-point broken") echo "No module named 'ipyparallel'" >&2; exit 1 ;;
*) echo none >&2; exit 3 ;;
esac
`

// If no executable has a name, it is looked for among the entry points of Python packages.
func TestEntryPoint(t *testing.T) {
	h, s := newSearchDirs(t)
	bridge := script(t, filepath.Join(h.bin, Prefix+BridgeName), pythonBridge)
	calls := func() string {
		text, err := os.ReadFile(filepath.Join(h.bin, "calls"))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		return string(text)
	}
	s.Python = script(t, filepath.Join(h.data, "python"), "#!/bin/sh\n")

	describer(t, filepath.Join(h.libexec, Prefix+"other"), "1")
	if _, err := Find(t.Context(), sdk.Engine, "other", s); err != nil || calls() != "" {
		t.Errorf("an executable's name: %v; the bridge was asked %q", err, calls())
	}
	for _, name := range []string{"mine", "pkg.Class"} {
		f, err := Find(t.Context(), sdk.Engine, name, s)
		if err != nil {
			t.Fatal(err)
		}
		folder := filepath.Dir(f.Path)
		if filepath.Dir(folder) != filepath.Join(h.profile, "launchers") || f.Bridge != bridge || f.Info.Version != "2" || !strings.Contains(f.Place.Why, s.Python) {
			t.Errorf("%s: %+v", name, f)
		}
		if want := "entry-point " + s.Python + " " + name + " " + folder + "\n"; !strings.HasSuffix(calls(), want) {
			t.Errorf("the bridge was asked %q, want %q", calls(), want)
		}
		// Finding it again does not need Python.
		if again, err := Find(t.Context(), sdk.Engine, f.Path, Search{ProfileDir: h.profile, Getenv: s.Getenv, Executable: s.Executable}); err != nil || again.Path != f.Path {
			t.Errorf("by its path: %+v, %v", again, err)
		}
	}
	if _, err := Find(t.Context(), sdk.Controller, "mine", s); err == nil || !strings.Contains(err.Error(), "does not start a controller") {
		t.Errorf("another kind: %v", err)
	}
	// The list contains only executables.
	all, err := List(t.Context(), s)
	if err != nil || len(all) != 1 {
		t.Errorf("List: %v, %v", all, err)
	}
	if python, points, err := EntryPoints(t.Context(), s); err != nil || python != s.Python || len(points) != 1 || points[0] != (EntryPoint{"Mine", sdk.Engine, "pkg:Class"}) {
		t.Errorf("EntryPoints: %s, %+v, %v", python, points, err)
	}
}

func TestNoEntryPoint(t *testing.T) {
	h, s := newSearchDirs(t)
	script(t, filepath.Join(h.bin, Prefix+BridgeName), pythonBridge)
	s.Python = script(t, filepath.Join(h.data, "python"), "#!/bin/sh\n")
	if _, err := Find(t.Context(), sdk.Engine, "nothing", s); !errors.Is(err, ErrNotFound) || !strings.Contains(hint(err), s.Python+" has no entry point of that name") {
		t.Errorf("no such entry point: %v", err)
	}
	if _, err := Find(t.Context(), sdk.Engine, "broken", s); err == nil || !strings.Contains(err.Error(), "No module named 'ipyparallel'") || errors.Is(err, ErrNotFound) {
		t.Errorf("a Python that fails: %v", err)
	}
	s.Python = filepath.Join(h.data, "nothing")
	if _, err := Find(t.Context(), sdk.Engine, "mine", s); !errors.Is(err, ErrNotFound) || !strings.Contains(hint(err), "no Python was asked") {
		t.Errorf("no Python: %v", err)
	}
	s.ProfileDir = ""
	if _, err := Find(t.Context(), sdk.Engine, "mine", s); !errors.Is(err, ErrNotFound) {
		t.Errorf("no profile: %v", err)
	}
	if err := os.Remove(filepath.Join(h.bin, Prefix+BridgeName)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := EntryPoints(t.Context(), s); err == nil {
		t.Error("EntryPoints without a bridge succeeded")
	}
}

// hint returns the hint of a NotFoundError.
func hint(err error) string {
	missing, ok := errors.AsType[*NotFoundError](err)
	if !ok {
		return ""
	}
	return missing.Hint()
}
