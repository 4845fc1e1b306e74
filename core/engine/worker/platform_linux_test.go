package worker

import (
	"os"
	"path/filepath"
	"testing"
)

func TestOOMCounter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory.events")
	if err := os.WriteFile(path, []byte("low 0\noom 3\noom_kill 12\noom_group_kill 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if n, ok := counter(path); !ok || n != 12 {
		t.Errorf("got %d, %v", n, ok)
	}
	if _, ok := counter(path + ".missing"); ok {
		t.Error("read what is not there")
	}
	if n := oomKills(); n < 0 {
		t.Errorf("kills: %d", n)
	}
}
