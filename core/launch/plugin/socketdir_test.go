package plugin

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// TestRemoveDead checks that the folders of killed processes are removed, and that those of
// running processes and those with other names are not.
func TestRemoveDead(t *testing.T) {
	parent := t.TempDir()
	mine, err := socketDirIn(parent)
	if err != nil {
		t.Fatal(err)
	}
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	dead := strconv.Itoa(ended.Process.Pid)
	for _, file := range []string{
		"ipc-" + dead + "-1/lock", "ipc-" + dead + "-1/p.sock",
		"ipc-" + dead + "-2/other",
		"ipc-" + strconv.Itoa(os.Getppid()) + "-3/lock",
		"ipc-nonsense/lock",
	} {
		if err := os.MkdirAll(filepath.Join(parent, filepath.Dir(file)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(parent, file), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	removeDead(parent)
	for name, stays := range map[string]bool{
		filepath.Base(mine.path): true, "ipc-" + dead + "-1": false, "ipc-" + dead + "-2": true,
		"ipc-" + strconv.Itoa(os.Getppid()) + "-3": true, "ipc-nonsense": true,
	} {
		if _, err := os.Stat(filepath.Join(parent, name)); (err == nil) != stays {
			t.Errorf("%s: stays %v, want %v", name, err == nil, stays)
		}
	}
	if err := mine.remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(mine.path); err == nil {
		t.Error("the folder is still there")
	}
}
