package plugintest

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// Commands replaces a system's commands while a test runs: it puts a folder with scripts
// for /bin/sh, by the command's name, in front of PATH. calls returns all calls so
// far, each as the name and the arguments separated by blanks: "qdel 8[].server".
// $HERE is a folder for files of the scripts, and dir is its path.
func Commands(t *testing.T, scripts map[string]string) (dir string, calls func() []string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the commands of this test are shell scripts")
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
