package nearest

import "testing"

func TestMatch(t *testing.T) {
	names := []string{"start", "stop", "status", "list", "launchers", "controller"}
	for name, want := range map[string]string{"srart": "start", "stat": "start", "lsit": "list", "launch": "launchers", "controler": "controller", "xyzzy": ""} {
		if got := Match(name, names); got != want {
			t.Errorf("Match(%q) = %q, want %q", name, got, want)
		}
	}
}
