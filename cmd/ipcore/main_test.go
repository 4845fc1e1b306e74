package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// bin is the folder into which TestMain builds ipcore and the local launcher.
var bin string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "ipcore-test-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		bin = dir
		build := exec.Command("go", "build", "-o", dir, "github.com/ipcore/ipcore/cmd/ipcore", "github.com/ipcore/ipcore/plugins/local/ipcore-launcher-local")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "build the commands:", err)
			return 1
		}
		// The stand-in for a batch system is not for every test.
		build = exec.Command("go", "build", "-o", filepath.Join(dir, "queue", "ipcore-launcher-queue"), "../../core/launch/cluster/testdata/queue")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "build the queue:", err)
			return 1
		}
		// Neither is the launcher of PBS.
		build = exec.Command("go", "build", "-o", filepath.Join(dir, "pbs", "ipcore-launcher-pbs"), "github.com/ipcore/ipcore/plugins/pbs/ipcore-launcher-pbs")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "build the launcher of PBS:", err)
			return 1
		}
		return m.Run()
	}())
}

// TestScripts runs the scripts in testdata with real executables, each with an
// empty HOME.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			home := filepath.Join(e.WorkDir, "home")
			e.Setenv("HOME", home)
			e.Setenv("BIN", bin)
			e.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
			return os.Mkdir(home, 0o700)
		},
	})
}
