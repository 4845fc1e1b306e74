package clusterfile

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ipcore/ipcore/sdk"
	"github.com/ipcore/ipcore/sdk/process"
)

func record(t *testing.T) *Record {
	t.Helper()
	return New(Settings{ClusterID: "night", ControllerArgs: []string{}, Delay: 1, N: 2, ProfileDir: t.TempDir()},
		Extension{Supervisor: &process.State{PID: 1, CreateTime: 2}})
}

// TestRecordForm checks the fields that IPython Parallel's API reads from the file.
func TestRecordForm(t *testing.T) {
	r := record(t)
	r.Controller = &Workload{Class: "local", State: sdk.State(`{"pid":7,"later":[1,2]}`)}
	r.Engines.Class = "local"
	r.Engines.Sets["1700000000"] = sdk.State(`{"n":2}`)
	path := Path(t.TempDir(), "night")
	if err := r.Write(path); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var form struct {
		Cluster    map[string]any
		Controller struct {
			Class string
			State json.RawMessage
		}
		Engines struct {
			Class string
			Sets  map[string]json.RawMessage
		}
	}
	if err := json.Unmarshal(text, &form); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"cluster_id", "controller_args", "controller_ip", "controller_location", "delay", "n", "profile_dir", "class"} {
		if _, ok := form.Cluster[key]; !ok {
			t.Errorf("cluster.%s is missing in %s", key, text)
		}
	}
	if string(form.Controller.State) != `{"pid":7,"later":[1,2]}` || string(form.Engines.Sets["1700000000"]) != `{"n":2}` {
		t.Errorf("launchers' states were changed: %s", text)
	}
	back, err := ReadRecord(path)
	if err != nil || back.Cluster.ClusterID != "night" || string(back.Controller.State) != `{"pid":7,"later":[1,2]}` {
		t.Errorf("read back %+v, %v", back, err)
	}
}

// TestReadUpstream reads a file as IPython Parallel writes it, without ipcore's extension.
func TestReadUpstream(t *testing.T) {
	path := Path(t.TempDir(), "")
	text := `{"cluster": {"cluster_id": "", "n": 4, "profile_dir": "/p", "class": "ipyparallel.cluster.cluster.Cluster"}, ` +
		`"controller": {"class": "local", "state": {"pid": 12, "unknown": null}}, "engines": {"class": "local", "sets": {"17-1": {"n": 4}}}, "more": 1}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := ReadRecord(path)
	if err != nil {
		t.Fatal(err)
	}
	if r.Extension.Supervisor != nil || string(r.Engines.Sets["17-1"]) != `{"n": 4}` || r.Controller.Class != "local" {
		t.Errorf("read %+v", r)
	}
}

func TestReadRefuses(t *testing.T) {
	dir := t.TempDir()
	for _, text := range []string{"", "{", `[1]`, `{"ipcore":{"version":99}}`} {
		path := Path(dir, "bad")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadRecord(path); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
	if _, err := ReadRecord(Path(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

// TestCreateOnce has many processes create one file: one succeeds, and no temporary file
// is left.
func TestCreateOnce(t *testing.T) {
	dir := t.TempDir()
	path := Path(dir, "x")
	const n = 16
	results := make(chan error, n)
	for range n {
		go func() { results <- record(t).Create(path) }()
	}
	won := 0
	for range n {
		switch err := <-results; {
		case err == nil:
			won++
		case !errors.Is(err, fs.ErrExist):
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d of %d won", won, n)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cluster-.json")
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var mu sync.Mutex
	inside, entered := 0, 0
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			held, err := Lock(ctx, path)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			inside++
			entered++
			if inside != 1 {
				t.Errorf("%d hold the lock", inside)
			}
			mu.Unlock()
			mu.Lock()
			inside--
			mu.Unlock()
			if err := held.Remove(); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if entered != 20 {
		t.Errorf("%d of 20 got the lock", entered)
	}
	if _, err := os.Stat(path + ".lock"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the lock file stayed: %v", err)
	}

	held, err := Lock(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	short, cancelShort := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancelShort()
	if _, err := Lock(short, path); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a held lock: %v", err)
	}
	if err := held.Remove(); err != nil {
		t.Error(err)
	}
}

func TestID(t *testing.T) {
	for name, want := range map[string]string{"cluster-.json": "", "cluster-a-b.json": "a-b", "/p/security/cluster-x.json": "x"} {
		if id, ok := ID(name); !ok || id != want {
			t.Errorf("%s: %q, %v", name, id, ok)
		}
	}
	for _, name := range []string{"cluster-.json.lock", ".cluster-1.tmp", "ipcontroller-client.json", "cluster.json"} {
		if _, ok := ID(name); ok {
			t.Errorf("%s was taken for a cluster file", name)
		}
	}
}
