package plugin

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/launch/registry"
	"github.com/ipcore/ipcore/internal/testbuild"
	"github.com/ipcore/ipcore/sdk"
)

// binDir contains the launchers that the tests start. They are built once.
var binDir string

func TestMain(m *testing.M) {
	if binDir = os.Getenv("PLUGIN_TEST_HOST"); binDir != "" { // a host that a test started
		os.Exit(m.Run())
	}
	code := func() int {
		dir, err := os.MkdirTemp("", "ipcore-plugin-test")
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
func onlyBin(t testing.TB) registry.Search {
	t.Helper()
	return registry.Search{
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

func testLog(t testing.TB) hclog.Logger {
	t.Helper()
	return hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: testWriter{t}})
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	if w.t.Context().Err() == nil { // do not fail because of a line after the end of the test
		w.t.Log(string(b))
	}
	return len(b), nil
}

func openLocal(t testing.TB) *Plugin {
	t.Helper()
	ctx := testContext(t)
	f, err := registry.Find(ctx, sdk.Engine, "local", onlyBin(t))
	if err != nil {
		t.Fatal(err)
	}
	p, err := Open(ctx, f, OpenOptions{Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// script writes an executable script.
func script(t testing.TB, path, text string) string {
	t.Helper()
	// A process that another test starts at the same moment would inherit the file open
	// for writing, and a file that is open for writing can't be executed.
	syscall.ForkLock.RLock()
	err := os.WriteFile(path, []byte(text), 0o700)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
