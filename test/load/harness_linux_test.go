package load

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ipcore/ipcore/core/connfile"
	"github.com/ipcore/ipcore/core/controller"
	"github.com/ipcore/ipcore/core/profile"
)

// startHarness returns a controller in this process with n engines.
func startHarness(ctx context.Context, t *testing.T, n int) (*Harness, Registered) {
	t.Helper()
	p := profile.Profile{Dir: t.TempDir()}
	running, stop := context.WithCancel(ctx)
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- controller.Run(running, controller.Options{Profile: p, Ready: func(string, string) { close(ready) }})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-ready:
	case err := <-ended:
		ended <- err
		t.Fatal(err)
	}
	clientName, engineName := connfile.Names("")
	c, err := Attach(filepath.Join(p.Dir, "security", clientName), filepath.Join(p.Dir, "security", engineName), os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	r, in, err := NewHarness(ctx, c, n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r, in
}

func TestHarness(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	const engines = 5
	r, in := startHarness(ctx, t, engines)
	if !in.InOrder || in.Executed < in.Announced || in.Announced <= 0 {
		t.Errorf("registration %+v", in)
	}
	total := engines
	for name, run := range map[string]func() (*Rate, error){
		"task":  func() (*Rate, error) { return r.Tasks(ctx, 300, 50) },
		"mux":   func() (*Rate, error) { return r.Mux(ctx, 300, 50) },
		"large": func() (*Rate, error) { return r.Large(ctx, 3, 1<<20) },
	} {
		rate, err := run()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		total += rate.Tasks
		if rate.PerSecond <= 0 || rate.Recorded <= 0 || rate.Kept != total {
			t.Errorf("%s: %+v, want %d records", name, rate, total)
		}
	}
	rate, asked, err := r.Latency(ctx, 50, QueueStatus, EverythingEver)
	if err != nil {
		t.Fatal(err)
	}
	if len(rate.Latencies) != 50 || asked == 0 || rate.Quantile(0.5) <= 0 || rate.Quantile(0.99) < rate.Quantile(0.5) {
		t.Errorf("latencies %v with %d questions", rate.Latencies, asked)
	}
	for _, coalescing := range []bool{true, false} {
		took, err := r.Broadcast(ctx, 3, coalescing)
		if err != nil || len(took) != 3 {
			t.Errorf("broadcast, coalescing %v: %v, %v", coalescing, took, err)
		}
	}
	if m, err := r.Memory(); err != nil || m.RSS < m.PSS || m.PSS < 1<<20 {
		t.Errorf("memory %+v, %v", m, err)
	}
}

func TestTree(t *testing.T) {
	tree, err := Tree(os.Getpid())
	if err != nil || len(tree) == 0 || tree[0] != os.Getpid() || !alive(tree[0]) {
		t.Errorf("processes %v, %v", tree, err)
	}
	if spent, err := cpu(tree[:1]); err != nil || spent < 0 {
		t.Errorf("CPU %v, %v", spent, err)
	}
}
