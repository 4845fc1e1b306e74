package plugintest

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// Commands puts stand-ins for a system's commands in front of PATH while a test
// runs: scripts for /bin/sh by the command's name. Before a script runs, its call is
// written down; calls answers them all, each the name and the arguments with one
// blank between: "qdel 8[].server". $HERE is a folder for what the scripts keep,
// and dir is its path.
func Commands(t *testing.T, scripts map[string]string) (dir string, calls func() []string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the stand-ins of this test are shell scripts")
	}
	dir = t.TempDir()
	bin, log := filepath.Join(dir, "bin"), filepath.Join(dir, "calls")
	if err := os.Mkdir(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, script := range scripts {
		text := fmt.Sprintf("#!/bin/sh\nHERE='%s'\necho \"%s $*\" >>\"$HERE/calls\"\n%s\n", dir, name, script)
		if err := os.WriteFile(filepath.Join(bin, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	return dir, func() []string {
		text, err := os.ReadFile(log)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' })
	}
}
