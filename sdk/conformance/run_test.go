package conformance

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ipcore/ipcore/sdk"
)

func TestChecksAreWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Checks() {
		if seen[c.Name] || c.Name == "" || c.Group == "" || c.Want == "" || c.run == nil {
			t.Errorf("check %q of group %q: its name is taken, or something is missing", c.Name, c.Group)
		}
		seen[c.Name] = true
	}
	if len(seen) < 60 {
		t.Errorf("%d checks, there were more", len(seen))
	}
}

// TestDocumentedPowers compares the table of docs/launchers.md with the one that
// the kit holds launchers to.
func TestDocumentedPowers(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "launchers.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "## Powers\n")
	if !ok {
		t.Fatal("docs/launchers.md has no section Powers")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	told := map[string][]sdk.Capability{}
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) != 4 || !strings.Contains(cells[1], "`") {
			continue
		}
		name := strings.Trim(cells[1], " `")
		for word := range strings.SplitSeq(cells[2], ",") {
			told[name] = append(told[name], sdk.Capability(strings.TrimSpace(word)))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(documented)) {
		want := slices.Sorted(slices.Values(documented[name]))
		if got := slices.Sorted(slices.Values(told[name])); !slices.Equal(got, want) {
			t.Errorf("%s: docs/launchers.md tells of %v, the kit of %v", name, got, want)
		}
	}
	if len(told) != len(documented) {
		t.Errorf("docs/launchers.md has %d rows, the kit has %d", len(told), len(documented))
	}
}
