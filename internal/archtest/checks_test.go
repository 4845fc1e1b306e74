package archtest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ipcore/ipcore/sdk/conformance"
)

// checksPage is the document that lists the tests for each promise of the launchers.
const checksPage = "docs/design/08-launcher-checks.md"

var (
	codeSpan   = regexp.MustCompile("`([^`]+)`")
	goTest     = regexp.MustCompile(`^([a-z0-9/]+)\.(Test\w+)(?:/(.+))?$`)
	pythonTest = regexp.MustCompile(`^(\w+)\.(test_\w+)\.(\w+)\.(test_\w+)$`)
)

// TestLauncherChecks checks that the table of checksPage has a line for each
// promise, that each line names a test, and that these tests exist.
func TestLauncherChecks(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(checksPage)))
	if err != nil {
		t.Fatal(err)
	}
	tests := testFiles(t)
	var keys []string
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 6 || !strings.HasPrefix(cells[1], " L") {
			continue
		}
		key := strings.TrimSpace(cells[1])
		keys = append(keys, key)
		named := codeSpan.FindAllStringSubmatch(cells[4], -1)
		if len(named) == 0 && !strings.Contains(line, "**Refused**") && !strings.Contains(line, "**Renamed**") {
			t.Errorf("%s names no test, and says neither Refused nor Renamed", key)
		}
		for _, m := range named {
			if err := tests.find(m[1]); err != nil {
				t.Errorf("%s: %v", key, err)
			}
		}
	}
	var want []string
	for i := 1; i <= 56; i++ {
		if i <= 22 || i >= 30 {
			want = append(want, fmt.Sprintf("L%d", i))
		}
	}
	if !slices.Equal(keys, want) {
		t.Errorf("the table has the lines %v, want %v", keys, want)
	}
}

// files maps the paths of files, relative to the repository's root, to their texts.
type files map[string]string

// testFiles reads the Go tests, their scripts and the Python tests.
func testFiles(t *testing.T) files {
	t.Helper()
	root := filepath.Join("..", "..")
	all := files{}
	read := func(path string) {
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.ToSlash(path)] = string(text)
	}
	for _, f := range sources(t) {
		if f.test() {
			read(f.path)
		}
	}
	for _, pattern := range []string{"test/*/test_*.py", "*/*/testdata/script/*.txtar"} {
		found, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range found {
			rel, err := filepath.Rel(root, path)
			if err != nil {
				t.Fatal(err)
			}
			read(rel)
		}
	}
	return all
}

// find returns an error unless the named test exists. The name is that of a check of
// the conformance kit ("conformance:stop-twice"), of a Go test, possibly with a subtest
// ("plugins/pbs.TestCommands"), or of a Python test
// ("system.test_kills.Kills.test_engine").
func (all files) find(name string) error {
	if check, ok := strings.CutPrefix(name, "conformance:"); ok {
		if slices.ContainsFunc(conformance.Checks(), func(c conformance.Check) bool { return c.Name == check }) {
			return nil
		}
		return fmt.Errorf("the conformance kit has no check %s", check)
	}
	if m := goTest.FindStringSubmatch(name); m != nil {
		return all.findGo(m[1], m[2], m[3])
	}
	m := pythonTest.FindStringSubmatch(name)
	if m == nil {
		return fmt.Errorf("%q is not the name of a test", name)
	}
	path := "test/" + m[1] + "/" + m[2] + ".py"
	_, class, ok := strings.Cut(all[path], "class "+m[3]+"(")
	if !ok {
		return fmt.Errorf("%s has no class %s", path, m[3])
	}
	body, _, _ := strings.Cut(class, "\nclass ")
	body, _, _ = strings.Cut(body, "\n    class ")
	if !strings.Contains(body, " def "+m[4]+"(self") {
		return fmt.Errorf("%s: class %s has no %s", path, m[3], m[4])
	}
	return nil
}

// findGo returns an error unless a folder has the test and, if sub is not empty, the
// test's file contains the subtest's name in quotes or there is a script of this name.
func (all files) findGo(folder, test, sub string) error {
	for path, text := range all {
		dir, name := filepath.ToSlash(filepath.Dir(path)), filepath.Base(path)
		if dir != folder || !strings.HasSuffix(name, "_test.go") || !strings.Contains(text, "\nfunc "+test+"(t *testing.T)") {
			continue
		}
		_, script := all[folder+"/testdata/script/"+sub+".txtar"]
		if sub != "" && !script && !strings.Contains(text, `"`+sub+`"`) {
			return fmt.Errorf("%s: %s has no subtest %s", path, test, sub)
		}
		return nil
	}
	return fmt.Errorf("%s has no %s", folder, test)
}
