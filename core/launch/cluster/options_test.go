package cluster

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/ipcore/ipcore/core/profile"
	"github.com/ipcore/ipcore/internal/atomicfile"
	"github.com/ipcore/ipcore/sdk/process"
)

// The default is one engine for each CPU, on this machine, and a timeout of a minute.
func TestDefaults(t *testing.T) {
	o := Options{Profile: profile.Profile{Dir: "/p"}}
	if err := o.resolve(); err != nil || o.N != runtime.NumCPU() || o.Wait != o.N || o.Timeout != 60*time.Second || o.Engines != "local" || o.Controller != "local" {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestAwaitFiles(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	write := func(name string) {
		t.Helper()
		if err := atomicfile.Write(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("b") // of an earlier controller
	done := make(chan error, 1)
	f := newFileSet(dir, "a", "b")
	go func() { done <- f.wait(ctx) }()
	write("a")
	if f.ready() {
		t.Error("an old file counts")
	}
	write("b")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	stopped, stop := context.WithCancel(ctx)
	stop()
	if err := newFileSet(dir, "c").wait(stopped); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	old := newFileSet(dir, "a", "b")
	old.acceptOld()
	if err := old.wait(ctx); err != nil {
		t.Error(err)
	}
}

func TestSupervisorRuns(t *testing.T) {
	me, err := process.Self()
	if err != nil {
		t.Fatal(err)
	}
	other := me
	other.CreateTime -= 5000
	far := me
	far.Host, far.Boot, far.CreateTime = "elsewhere.example.org", "another", 1
	if !supervisorRuns(&me) || supervisorRuns(&other) || supervisorRuns(nil) || !supervisorRuns(&far) {
		t.Error("the supervisor's process was not distinguished from another one")
	}
	if onOtherMachine(&me) || !onOtherMachine(&far) {
		t.Error("the supervisor's machine was not distinguished from another one")
	}
}

// TestLocationArgs checks which commands get arguments for profile and cluster.
func TestLocationArgs(t *testing.T) {
	o := Options{Profile: profile.Profile{Dir: "/p"}, ID: "c"}
	for _, test := range []struct {
		command []string
		known   bool
	}{
		{[]string{"python3", "-m", "ipyparallel.engine"}, true},
		{[]string{"/usr/bin/ipengine"}, true},
		{[]string{"/opt/bin/ipcore", "engine", "--log-level=info"}, true},
		{[]string{"env", "A=b", "python3", "-m", "ipyparallel.engine"}, true},
		{[]string{"my-engine", "engine"}, false},
		{[]string{"sleep", "10"}, false},
	} {
		if got := len(o.locationArgs(test.command)) > 0; got != test.known {
			t.Errorf("%q: %v, want %v", test.command, got, test.known)
		}
	}
}
