//go:build unix

package exec

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ipcore/ipcore/sdk"
)

// python writes a stand-in for Python that gets our text on stdin.
func python(t *testing.T, cases string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "python")
	text := "#!/bin/sh\n[ \"$1\" = - ] || exit 9\ngrep -q '^FOUND = None' || exit 9\nshift\ncase $* in\n" + cases + "\n*) exit 9;;\nesac\n"
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

const foundMine = `echo '{"description": {"name": "mine", "version": "it'"'"'s \"2\"", "kinds": ["engine"], "protocol": [1]}, "python": "/opt/p y/python3"}'`

func TestWriteEntryPoint(t *testing.T) {
	py := python(t, `"find Mine") echo words of a package; `+foundMine+`;;
		"list") echo '[{"name": "Mine", "kind": "engine", "class": "pkg:Class"}]';;`)
	dir := filepath.Join(t.TempDir(), "new")
	path, err := WriteEntryPoint(t.Context(), py, "Mine", dir)
	if err != nil || path != filepath.Join(dir, "ipcore-launcher-mine") {
		t.Fatalf("%s, %v", path, err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"#!/bin/sh\n'''exec' \"/opt/p y/python3\" \"$0\" \"$@\"\n'''\n",
		`FOUND = json.loads("{\"description\": {\"name\": \"mine\", \"version\": \"it's \\\"2\\\"\"`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is not in\n%.600s", want, text)
		}
	}
	before, err := os.Stat(path)
	if err != nil || before.Mode().Perm() != 0o700 {
		t.Fatalf("%v, %v", before.Mode(), err)
	}
	// The same again is left alone; another takes its place.
	if _, err := WriteEntryPoint(t.Context(), py, "Mine", dir); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(path); err != nil || !os.SameFile(before, after) {
		t.Errorf("it was written again: %v", err)
	}
	if err := os.WriteFile(path, []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := WriteEntryPoint(t.Context(), py, "Mine", dir); err != nil {
		t.Fatal(err)
	}
	if again, err := os.ReadFile(path); err != nil || string(again) != string(text) {
		t.Errorf("it was not written again: %v", err)
	}
	all, err := EntryPoints(t.Context(), py)
	if err != nil || len(all) != 1 || all[0] != (EntryPoint{"Mine", sdk.Engine, "pkg:Class"}) {
		t.Errorf("EntryPoints: %v, %v", all, err)
	}
}

func TestWriteEntryPointThatIsNone(t *testing.T) {
	dir := t.TempDir()
	for cases, want := range map[string]string{
		`*) echo null;;`: "is called x",
		`*) echo "ModuleNotFoundError: No module named 'ipyparallel'" >&2; exit 1;;`: "No module named 'ipyparallel'",
		`*) echo hello;;`: "invalid character",
		`*) echo '{"description": {"name": "X Y"}, "python": "/p"}';;`:                                                        "name",
		`*) echo '{"description": {"name": "x", "version": "1", "kinds": ["engine"], "protocol": [1]}, "python": "/p\"q"}';;`: "can't be in a script's first lines",
		`*) head -c 3000000 /dev/zero;;`: "printed more than",
	} {
		_, err := WriteEntryPoint(t.Context(), python(t, cases), "x", dir)
		if err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, ErrNoEntryPoint) != strings.Contains(cases, "null") {
			t.Errorf("%s: %v", cases, err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}
