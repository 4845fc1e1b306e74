package worker

import (
	"strings"
	"testing"
)

func TestSourceIsEmbedded(t *testing.T) {
	parts := Source()
	names := make(map[string]bool)
	for i := 0; i < len(parts); i += 2 {
		names[string(parts[i])] = true
	}
	if !names["worker"] || names["loader"] {
		t.Errorf("modules: %v", names)
	}
	if c := Command("python3"); len(c) != 3 || c[0] != "python3" || c[1] != "-c" || !strings.Contains(c[2], "ipcore_worker") {
		t.Errorf("command: %q", c)
	}
}
