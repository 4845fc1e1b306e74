package registry

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ipcore/ipcore/internal/testbuild"
)

// binDir contains the launchers that the tests start. They are built once.
var binDir string

func TestMain(m *testing.M) {
	code := func() int {
		dir, err := os.MkdirTemp("", "ipcore-registry-test")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		binDir = dir
		err = testbuild.Programs(dir, map[string]string{"ipcore-launcher-local": "github.com/ipcore/ipcore/plugins/local/ipcore-launcher-local"})
		if err != nil {
			fmt.Fprintln(os.Stderr, "build the local launcher:", err)
			return 1
		}
		return m.Run()
	}()
	os.Exit(code)
}

// onlyBin searches only in the folder of built launchers.
func onlyBin(t testing.TB) Search {
	t.Helper()
	return Search{
		Getenv:     func(string) string { return "" },
		Executable: func() (string, error) { return filepath.Join(binDir, "ipcore"), nil },
	}
}

func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}
