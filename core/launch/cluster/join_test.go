//go:build unix

package cluster

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ipcore/ipcore/core/connfile"
	"github.com/ipcore/ipcore/core/launch/clusterfile"
)

// joinOptions returns the options of engines that join the cluster with options o.
func joinOptions(o Options, n int) Options {
	id := o.ID
	o.ID, o.Join, o.N, o.ControllerCommand = "", &id, n, nil
	return o
}

// hasConnectionFiles reports whether both connection files exist.
func hasConnectionFiles(o Options) bool {
	for _, kind := range []string{"client", "engine"} {
		if _, err := os.Stat(filepath.Join(o.Profile.SecurityDir(), "ipcontroller-"+o.ID+"-"+kind+".json")); err != nil {
			return false
		}
	}
	return true
}

// TestJoin lets two sets of engines join a controller. Stopping the first set does not
// affect the controller; the second set ends together with the controller.
func TestJoin(t *testing.T) {
	o := testOptions(t)
	first := startCluster(t, o)
	j := joinOptions(o, 3)
	j.EngineCommand = shell(`echo "$IPP_CLUSTER_ID" >"$IPP_PROFILE_DIR/id"; exec sleep 1000`)
	count := func(context.Context, string) (int, error) { return 2, nil }
	wait := func(_ context.Context, file string, n int, have func(int)) error {
		if n != 5 || filepath.Base(file) != "ipcontroller-t-client.json" {
			t.Errorf("waits for %d engines of %s, want the 2 that were there and 3 of ipcontroller-t-client.json", n, file)
		}
		have(4)
		have(5)
		return nil
	}
	j.view = fakeView{wait: wait, count: count}
	var last Progress
	j.Progress = func(p Progress) { last = p }
	one, two := startCluster(t, j), startCluster(t, j)
	if one.ID() != "t-engines-1" || two.ID() != "t-engines-2" {
		t.Errorf("the ids are %q and %q", one.ID(), two.ID())
	}
	if last.Have != 3 || last.Stage != StageRunning {
		t.Errorf("the last progress is %+v, want 3 engines of our own", last)
	}
	r, err := clusterfile.ReadRecord(one.File())
	if err != nil {
		t.Fatal(err)
	}
	if r.Controller != nil || r.Extension.Joins == nil || *r.Extension.Joins != "t" || len(r.Engines.Sets) != 1 || r.Cluster.ClusterID != "t-engines-1" {
		t.Errorf("the cluster file says %+v", r)
	}
	eventually(t, "the engines get the id of the cluster they joined", func() bool {
		id, _ := os.ReadFile(filepath.Join(o.Profile.Dir, "id"))
		return string(id) == "t\n"
	})
	sets := map[string]bool{}
	for _, c := range []*Cluster{first, one, two} {
		sets[c.engines[0].id] = true
	}
	if len(sets) != 3 {
		t.Errorf("the sets' ids are %v: they share logs", sets)
	}
	// A process that is just executing its program is missing from the list for a moment.
	eventually(t, "a controller, 2 engines and twice 3 are running", func() bool { return len(processesOf(t, o.Profile.Dir)) == 9 })

	if err := one.Stop(testContext(t)); err != nil {
		t.Error(err)
	}
	if got := len(processesOf(t, o.Profile.Dir)); got != 6 || !hasConnectionFiles(o) {
		t.Errorf("after the first had stopped: %d processes, want 6; connection files: %t", got, hasConnectionFiles(o))
	}
	supervised := make(chan error, 1)
	ctx := testContext(t)
	go func() { supervised <- two.Supervise(ctx) }()
	if err := first.Stop(ctx); err != nil {
		t.Error(err)
	}
	if err := <-supervised; err != nil {
		t.Errorf("Supervise of engines whose controller was stopped: %v", err)
	}
	nothingLeft(t, o.Profile)
}

// TestJoinedEngineKilled kills an engine that joined a controller.
func TestJoinedEngineKilled(t *testing.T) {
	o := testOptions(t)
	startCluster(t, o)
	c := startCluster(t, joinOptions(o, 1))
	if err := syscall.Kill(enginePID(t, c), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	err := c.Supervise(testContext(t))
	var ended *EndedError
	if !errors.As(err, &ended) || !strings.Contains(err.Error(), "the engine ended unexpectedly: killed by SIGKILL") {
		t.Errorf("Supervise: %v", err)
	}
	if _, err := os.Stat(c.File()); !errors.Is(err, fs.ErrNotExist) || !hasConnectionFiles(o) {
		t.Errorf("cluster file: %v; connection files: %t", err, hasConnectionFiles(o))
	}
}

// TestJoinedSupervisorDied stops joined engines after their supervisor has died.
func TestJoinedSupervisorDied(t *testing.T) {
	o := testOptions(t)
	startCluster(t, o)
	c := startCluster(t, joinOptions(o, 2))
	abandon(t, c)
	s, err := Inspect(testContext(t), c.File(), o.Log)
	if err != nil || s.Supervised || s.Controller || s.Alive != 2 {
		t.Errorf("inspected: %+v, %v", s, err)
	}
	if _, err := Stop(testContext(t), c.File(), o.Log); err != nil {
		t.Error(err)
	}
	if got := len(processesOf(t, o.Profile.Dir)); got != 3 || !hasConnectionFiles(o) {
		t.Errorf("%d processes, want 3; connection files: %t", got, hasConnectionFiles(o))
	}
}

// TestJoinFails lets engines join a controller that does not exist or does not reply.
func TestJoinFails(t *testing.T) {
	o := testOptions(t)
	join := func(o Options) error {
		c, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		return c.Start(testContext(t))
	}
	var alone *NoControllerError
	err := join(joinOptions(o, 1))
	if !errors.As(err, &alone) || alone.ID != "t" || !strings.Contains(err.Error(), "there is no controller to join") {
		t.Errorf("without files: %v", err)
	}
	startCluster(t, o)
	j := joinOptions(o, 1)
	j.view = fakeView{count: func(context.Context, string) (int, error) { return 0, errors.New("connection refused") }}
	if err := join(j); !errors.As(err, &alone) || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("of a controller that does not reply: %v", err)
	}
	if files, err := Files(o.Profile); err != nil || len(files) != 1 {
		t.Errorf("cluster files: %q, %v", files, err)
	}
}

// TestJoinByEngineFile lets engines join a controller of which only the engines'
// connection file exists: it is not queried, and Start does not wait.
func TestJoinByEngineFile(t *testing.T) {
	o := testOptions(t)
	if err := o.Profile.Create(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(o.Profile.SecurityDir(), "ipcontroller-t-engine.json")
	write := func(serverKey string) { // encrypted: no key that signs messages
		if err := connfile.Write(file, &connfile.Engine{CurveServerKey: &serverKey}); err != nil {
			t.Fatal(err)
		}
	}
	write("a")
	j := joinOptions(o, 1)
	j.view = fakeView{
		count: func(context.Context, string) (int, error) { t.Error("asked"); return 0, nil },
		wait:  func(context.Context, string, int, func(int)) error { t.Error("waits"); return nil },
		watch: func(context.Context, string, func()) error { t.Error("watches"); return nil },
	}
	c := startCluster(t, j)
	supervised := make(chan error, 1)
	ctx := testContext(t)
	go func() { supervised <- c.Supervise(ctx) }()
	write("a") // like a controller that is started again with --reuse
	select {
	case err := <-supervised:
		t.Fatalf("Supervise ended: %v", err)
	case <-time.After(3 * joinInterval):
	}
	write("b") // another controller
	if err := <-supervised; err != nil {
		t.Errorf("Supervise: %v", err)
	}
	if got := processesOf(t, o.Profile.Dir); len(got) > 0 {
		t.Errorf("left: %q", got)
	}
}
