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

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/launch/clusterfile"
	"github.com/ipcore/ipcore/core/profile"
	"github.com/ipcore/ipcore/internal/testbuild"
)

// TestMain builds the local launcher and the launcher of testdata/queue, a simulated batch
// system.
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

// testTimeout bounds every wait of a test.
const testTimeout = 20 * time.Second

// fakeController writes both connection files and keeps running.
const fakeController = `cd "$IPP_PROFILE_DIR/security"
for k in client engine; do echo '{}' > .$k && mv .$k ipcontroller-$IPP_CLUSTER_ID-$k.json; done
exec sleep 1000`

func shell(script string) []string { return []string{"/bin/sh", "-c", script} }

// testOptions returns the options of a cluster with a shell script as controller, and
// sleeping processes as engines, which count as registered at once.
func testOptions(t *testing.T) Options {
	t.Helper()
	return Options{
		Profile: profile.Profile{Dir: t.TempDir()}, ID: "t", N: 2, Timeout: testTimeout,
		ControllerCommand: shell(fakeController), EngineCommand: shell("exec sleep 1000"),
		Log:  hclog.New(&hclog.LoggerOptions{Output: testWriter{t}, Level: hclog.Info}),
		view: fakeView{},
	}
}

// fakeView is a controllerView in which all engines register at once and none is lost,
// unless a function is set.
type fakeView struct {
	wait  waitFunc
	count func(ctx context.Context, clientFile string) (int, error)
	watch func(ctx context.Context, clientFile string, lost func()) error
}

type waitFunc func(ctx context.Context, clientFile string, n int, have func(int)) error

func (v fakeView) WaitEngines(ctx context.Context, clientFile string, n int, have func(int)) error {
	if v.wait != nil {
		return v.wait(ctx, clientFile, n, have)
	}
	have(n)
	return nil
}

func (v fakeView) CountEngines(ctx context.Context, clientFile string) (int, error) {
	if v.count != nil {
		return v.count(ctx, clientFile)
	}
	return 0, nil
}

func (v fakeView) WatchEngines(ctx context.Context, clientFile string, lost func()) error {
	if v.watch != nil {
		return v.watch(ctx, clientFile, lost)
	}
	<-ctx.Done()
	return ctx.Err()
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Logf("%s", bytes.TrimRight(b, "\n"))
	return len(b), nil
}

// startCluster starts a cluster, and stops it at the end of the test.
func startCluster(t *testing.T, o Options) *Cluster {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	if err := c.Start(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
		defer cancel()
		r, err := clusterfile.ReadRecord(c.file)
		switch {
		case errors.Is(err, os.ErrNotExist):
			c.Close()
		case err != nil:
			t.Error(err)
		case supervisorRuns(r.Extension.Supervisor): // the supervisor is this process
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

// nothingLeft checks that no process and no file of the profile's clusters is left.
func nothingLeft(t *testing.T, p profile.Profile) {
	t.Helper()
	deadline := time.Now().Add(testTimeout)
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

// processesOf returns the command lines of the running processes that have the profile
// directory in their environment.
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
			continue // not of this profile, or it has ended
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
	deadline := time.Now().Add(testTimeout)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", testTimeout, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
