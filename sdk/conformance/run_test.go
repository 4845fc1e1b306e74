package conformance

import "testing"

func TestCheckList(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Checks() {
		if seen[c.Name] || c.Name == "" || c.Group == "" || c.Want == "" || c.run == nil {
			t.Errorf("check %q of group %q: its name is not unique, or a field is missing", c.Name, c.Group)
		}
		seen[c.Name] = true
	}
	if len(seen) < 60 {
		t.Errorf("%d checks, want at least 60", len(seen))
	}
}
