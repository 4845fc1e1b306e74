package controller

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/ipcore/ipcore/core/controller/relay"
	"github.com/ipcore/ipcore/core/profile"
)

// TestBroadcastTrees checks broadcast trees of other depths than the default.
func TestBroadcastTrees(t *testing.T) {
	for name, depth := range map[string]int{"none": NoTree, "two": 2} {
		t.Run(name, func(t *testing.T) {
			withEngines(t, 3, Options{BroadcastDepth: depth}, func(_ *testing.T, c *cluster, p interpreter, _ []*engineProcess) {
				c.run(p, broadcastScript)
			})
		})
	}
}

// TestLostEngine kills an engine and its nanny while it works for every kind of
// view.
func TestLostEngine(t *testing.T) {
	withEngines(t, 2, Options{HWM: 2}, func(_ *testing.T, c *cluster, p interpreter, _ []*engineProcess) {
		c.run(p, `
import signal
pids = rc[:].apply_sync(os.getpid)
def slow(victim):
    import os, time
    if os.getpid() == victim: time.sleep(60)
    return os.getpid()
dying = rc.load_balanced_view([0]).apply_async(slow, pids[0])
hogs = [rc.load_balanced_view([1]).apply_async(time.sleep, 1) for i in range(2)]
lb = rc.load_balanced_view()
lb.retries = 1
saved = lb.apply_async(slow, pids[0])
until(lambda: rc.queue_status()[0]['tasks'] == 2)
direct = rc[0].apply_async(time.sleep, 60)
wide = rc.broadcast_view(is_coalescing=True).apply(slow, pids[0])
killed = time.monotonic()
os.killpg(pids[0], signal.SIGKILL)
until(lambda: rc.ids == [1])
left = time.monotonic() - killed
raises(error.EngineError, dying.get, 10)
answered = time.monotonic() - killed
assert left < 2 and answered < 2, (left, answered)
raises(error.EngineError, direct.get, 10)
raises(error.EngineError, wide.get, 10)
assert saved.get(20) == pids[1]
assert rc[1].apply_sync(os.getpid) == pids[1]
print(left, answered)
`)
	})
}

// wait waits for a file that a client creates.
func wait(t *testing.T, path string) {
	t.Helper()
	for limit := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("%s did not appear", path)
		}
	}
}

// TestShutdown requests the shutdown of engines and controller.
func TestShutdown(t *testing.T) {
	withEngines(t, 2, Options{}, func(t *testing.T, c *cluster, p interpreter, engines []*engineProcess) {
		c.run(p, `
other = ipp.Client(sys.argv[1])
rc.shutdown(hub=True, block=True)
`)
		c.wait(3 * time.Second)
		for _, e := range engines {
			select {
			case <-e.done:
			case <-time.After(10 * time.Second):
				t.Fatal("an engine is still running")
			}
		}
		for _, path := range []string{c.client, c.engine} {
			if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s still exists: %v", path, err)
			}
		}
	})
}

// TestLateEngines submits tasks before an engine exists, and adds engines meanwhile.
func TestLateEngines(t *testing.T) {
	for _, p := range pythons(t) {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			c := start(t, Options{})
			done := make(chan struct{})
			go func() {
				defer close(done)
				c.run(p, `
lb = rc.load_balanced_view()
open(sys.argv[1] + '.go', 'w').close()
until(lambda: len(rc.ids) >= 1)
ar = lb.map_async(lambda x: x, range(100))
until(lambda: len(rc.ids) == 2)
assert list(ar.get(20)) == list(range(100))
assert rc.ids == [0, 1]
`)
			}()
			wait(t, c.client+".go")
			c.startEngines(p, 2)
			<-done
		})
	}
}

// TestRestore stops a controller, but not its engines, and starts another one, which
// knows the engines and still reaches their namespaces.
func TestRestore(t *testing.T) {
	withEngines(t, 2, Options{Reuse: true}, func(t *testing.T, c *cluster, p interpreter, engines []*engineProcess) {
		c.run(p, "rc[:].push({'a': 3}, block=True)")
		c.end()
		again := start(t, Options{Profile: profile.Profile{Dir: c.dir}, Restore: true})
		again.run(p, `
assert rc.ids == [0, 1], rc.ids
def works():
    try:
        return rc[:].pull('a', block=True) == [3, 3]
    except Exception as e: # while engines reconnect
        assert 'not connected' in str(e) + repr(e), e
until(works)
assert rc.load_balanced_view().map_sync(lambda x: x, range(20)) == list(range(20))
`)
		again.startEngine(p)
		again.run(p, "until(lambda: rc.ids == [0, 1, 2])")
		killGroup(engines[0].Cmd)
		again.run(p, "until(lambda: rc.ids in ([0, 2], [1, 2]))")
	})
}

// TestFrozenEngine suspends an engine's processes without killing them: only missed
// heartbeats show that it is lost.
func TestFrozenEngine(t *testing.T) {
	o := Options{HeartbeatPeriod: 100 * time.Millisecond, MaxMisses: 5}
	withEngines(t, 2, o, func(_ *testing.T, c *cluster, p interpreter, _ []*engineProcess) {
		c.run(p, `
import signal
pids = rc[:].apply_sync(os.getpid)
os.killpg(pids[0], signal.SIGSTOP)
began = time.monotonic()
task = rc.load_balanced_view([0]).apply_async(os.getpid)
until(lambda: rc.ids == [1])
assert time.monotonic() - began > 0.4
raises(error.EngineError, task.get, 10)
os.killpg(pids[0], signal.SIGCONT) # too late: it stays unregistered
time.sleep(0.5)
assert rc.ids == [1], rc.ids
assert rc[1].apply_sync(os.getpid) == pids[1]
`)
	})
}

// TestPure runs without a scheduler: engines get tasks in turn.
func TestPure(t *testing.T) {
	withEngines(t, 2, Options{Scheme: relay.SchemePure}, func(_ *testing.T, c *cluster, p interpreter, _ []*engineProcess) {
		c.run(p, `
lb = rc.load_balanced_view()
assert lb.map_sync(lambda x: x**2, range(50)) == [x**2 for x in range(50)]
assert len({lb.apply_async(os.getpid).get(10) for i in range(4)}) == 2
raises(ZeroDivisionError, lb.apply_async(lambda: 1/0).get, 10)
until(lambda: len(rc.hub_history()) >= 5)
until(lambda: rc.queue_status()['unassigned'] == 0)
`)
	})
}
