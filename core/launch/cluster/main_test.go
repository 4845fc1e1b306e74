package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ipcore/ipcore/core/launch/clusterfile"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/profile"
	"github.com/ipcore/ipcore/internal/testbuild"
)

// TestMain builds the local launcher, which the tests use as it is, and the
// stand-in for a batch system of testdata/queue.
func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "cluster-test-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		err = testbuild.Programs(dir, map[string]string{
			"ipcore-launcher-local": "github.com/ipcore/ipcore/plugins/local/ipcore-launcher-local",
			"ipcore-launcher-queue": "./testdata/queue",
		})
		if err != nil {
			fmt.Fprintln(os.Stderr, "build the launchers:", err)
			return 1
		}
		os.Setenv("IPCORE_LAUNCHER_PATH", dir)
		os.Setenv("XDG_STATE_HOME", filepath.Join(dir, "state"))
		return m.Run()
	}())
}

// limit bounds every wait of a test.
const limit = 20 * time.Second

// fakeController writes both connection files and stays.
const fakeController = `cd "$IPP_PROFILE_DIR/security"
for k in client engine; do echo '{}' > .$k && mv .$k ipcontroller-$IPP_CLUSTER_ID-$k.json; done
exec sleep 1000`

func shell(script string) []string { return []string{"/bin/sh", "-c", script} }

// testOptions are those of a cluster of stand-ins: a shell script as controller,
// sleeping engines that count as registered at once.
func testOptions(t *testing.T) Options {
	t.Helper()
	return Options{
		Profile: profile.Profile{Dir: t.TempDir()}, ID: "t", N: 2, Timeout: limit,
		ControllerCommand: shell(fakeController), EngineCommand: shell("exec sleep 1000"),
		Log:      hclog.New(&hclog.LoggerOptions{Output: testWriter{t}, Level: hclog.Info}),
		register: func(_ context.Context, _ string, n int, have func(int)) error { have(n); return nil },
	}
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Logf("%s", bytes.TrimRight(b, "\n"))
	return len(b), nil
}

// started answers a cluster that runs, and stops it at the end of the test.
func started(t *testing.T, o Options) *Cluster {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := c.Start(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		r, err := clusterfile.ReadRecord(c.file)
		switch {
		case errors.Is(err, os.ErrNotExist):
			c.Close()
		case err != nil:
			t.Error(err)
		case supervisorRuns(r.Extension.Supervisor): // it is this process
			err = c.Stop(ctx)
		default:
			_, err = Stop(ctx, c.file, o.Log)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
	})
	return c
}

// nothingLeft checks that no process and no file of the profile's clusters is
// there.
func nothingLeft(t *testing.T, p profile.Profile) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for left := processesOf(t, p.Dir); len(left) > 0; left = processesOf(t, p.Dir) {
		if time.Now().After(deadline) {
			t.Fatalf("processes left: %q", left)
		}
		time.Sleep(10 * time.Millisecond)
	}
	entries, err := os.ReadDir(p.SecurityDir())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Errorf("left behind: %s", e.Name())
	}
}

// processesOf answers the command lines of living processes that have the
// profile directory in their environment.
func processesOf(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(text, []byte("IPP_PROFILE_DIR="+dir+"\x00")) {
			continue // of somebody else, or gone
		}
		line, err := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
		if err == nil && len(line) > 0 {
			found = append(found, string(bytes.ReplaceAll(line, []byte{0}, []byte{' '})))
		}
	}
	return found
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
