package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ipcore/ipcore/internal/testbuild"
)

// bin is the folder into which TestMain builds ipcore, the local launcher, and in
// folders below it those that only some tests need.
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
		// The stand-in for a batch system and the launcher of PBS are not for every test.
		err = testbuild.Programs(dir, map[string]string{
			"ipcore":                      "github.com/ipcore/ipcore/cmd/ipcore",
			"ipcore-launcher-local":       "github.com/ipcore/ipcore/plugins/local/ipcore-launcher-local",
			"queue/ipcore-launcher-queue": "../../core/launch/cluster/testdata/queue",
			"pbs/ipcore-launcher-pbs":     "github.com/ipcore/ipcore/plugins/pbs/ipcore-launcher-pbs",
			"broken":                      "./testdata/broken",
			"links/ipcore-launchers":      "github.com/ipcore/ipcore/cmd/ipcore-launchers",
		})
		if err != nil {
			fmt.Fprintln(os.Stderr, "build the programs:", err)
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
