package controller

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/ipcore/ipcore/core/profile"
	"github.com/ipcore/ipcore/core/queue"
)

// TestDirect covers the direct view: apply, execute, output, data.
func TestDirect(t *testing.T) {
	withEngines(t, 2, Options{}, func(_ *testing.T, c *cluster, p python, _ []*engineProcess) {
		c.run(p, `
import numpy
assert rc.ids == [0, 1], rc.ids
dv = rc[:]
assert len(set(dv.apply_sync(os.getpid))) == 2
dv.execute("a = 5; print('hello')", block=True)
assert dv['a'] == [5, 5]
ar = dv.execute("print('out'); import sys; print('err', file=sys.stderr)")
ar.get(); ar.wait_for_output()
assert ar.stdout == ['out\n', 'out\n'] and ar.stderr == ['err\n', 'err\n'], (ar.stdout, ar.stderr)
e = raises(error.CompositeError, dv.execute, "1/0", block=True)
assert len(e.elist) == 2 and all(x[0] == 'ZeroDivisionError' for x in e.elist), e.elist
assert dv.map_sync(lambda x: 2*x, range(50)) == [2*x for x in range(50)]
a = numpy.arange(5_000_000, dtype='f8')
dv.push({'big': a}, block=True)
for b in dv.pull('big', block=True):
    assert (a == b).all()
dv.scatter('part', list(range(10)), block=True)
assert dv.gather('part', block=True) == list(range(10))
dv.clear(block=True)
raises(NameError, rc[0].__getitem__, 'a')
`)
	})
}

// TestBalanced covers the load-balanced view.
func TestBalanced(t *testing.T) {
	withEngines(t, 2, Options{}, func(_ *testing.T, c *cluster, p python, _ []*engineProcess) {
		c.run(p, `
lb = rc.load_balanced_view()
assert lb.map_sync(lambda x: x**10, range(300)) == [x**10 for x in range(300)]
ars = [lb.apply_async(time.sleep, 0.2) for i in range(2)]
for ar in ars: ar.get()
assert len({ar.engine_id for ar in ars}) == 2

# dependencies
first = lb.apply_async(time.sleep, 0.1)
with lb.temp_flags(after=[first]):
    second = lb.apply_async(lambda: 2)
assert second.get() == 2 and second.started >= first.completed
with lb.temp_flags(follow=[first]):
    follower = lb.apply_async(lambda: 3)
assert follower.get() == 3 and follower.engine_id == first.engine_id
bad = lb.apply_async(lambda: 1/0)
with lb.temp_flags(after=[bad]):
    never = lb.apply_async(lambda: 4)
raises(error.ImpossibleDependency, never.get, 10)
with lb.temp_flags(after=ipp.Dependency([bad], success=False, failure=True)):
    sweeper = lb.apply_async(lambda: 5)
assert sweeper.get(10) == 5
with lb.temp_flags(after=['nobody']):
    wrong = lb.apply_async(lambda: 6)
raises(error.InvalidDependency, wrong.get, 10)
slow = lb.apply_async(time.sleep, 1)
with lb.temp_flags(after=[slow], timeout=0.1):
    late = lb.apply_async(lambda: 7)
raises(error.TaskTimeout, late.get, 10)

# functional dependencies
@ipp.require('nosuchmodule')
def f(): return 1
raises(error.ImpossibleDependency, lb.apply_async(f).get, 10)
def is_even(): return os.getpid() == good
good = rc[1].apply_sync(os.getpid)
rc[:].push({'good': good}, block=True); rc[:].execute('import os', block=True)
@ipp.depend(is_even)
def g():
    import os
    return os.getpid()
for i in range(4):
    assert lb.apply_async(g).get(10) == good

# targets
one = rc.load_balanced_view([1])
assert set(one.map_sync(lambda x: __import__('os').getpid(), range(5))) == {good}

# retries: more than there are engines
with lb.temp_flags(retries=5):
    ar = lb.apply_async(lambda: 1/0)
raises(ZeroDivisionError, ar.get, 10)
rc[:].execute('n = 0', block=True)
def third():
    global n
    n += 1
    if n < 3: raise ValueError(n)
    return n
with lb.temp_flags(retries=10):
    assert lb.apply_async(third).get(10) == 3
`)
	})
}

// TestHub covers what clients ask the hub.
func TestHub(t *testing.T) {
	withEngines(t, 2, Options{}, func(_ *testing.T, c *cluster, p python, _ []*engineProcess) {
		c.run(p, `
lb = rc.load_balanced_view()
ar = rc[:].apply_async(lambda: 'here'); ar.get()
task = lb.apply_async(lambda: 'there'); task.get()
ids = ar.msg_ids + task.msg_ids
until(lambda: set(ids) <= set(rc.hub_history()))
other = ipp.Client(sys.argv[1])
assert other.get_result(task.msg_ids[0]).get(10) == 'there'
assert other.get_result(ar.msg_ids).get(10) == ['here', 'here']
done = rc.db_query({'completed': {'$ne': None}}, keys=['msg_id', 'completed', 'queue'])
assert set(ids) <= {r['msg_id'] for r in done}, done
assert {r['queue'] for r in done} == {'mux', 'task'}
status = rc.queue_status()
assert status['unassigned'] == 0 and status[0]['queue'] == 0 and status[0]['tasks'] == 0, status
hogs = [lb.apply_async(time.sleep, 0.5) for i in range(4)]
until(lambda: rc.queue_status()['unassigned'] == 2 and rc.queue_status()[0]['tasks'] == 1)
busy = rc[0].apply_async(time.sleep, 0)
until(lambda: rc.queue_status(0)['queue'] == 1)
for h in hogs: h.get()
again = rc.resubmit(task.msg_ids[0])
assert again.get(10) in ('there', ['there']) and again.msg_ids[0] != task.msg_ids[0]
rc.purge_results('all')
assert rc.hub_history() == []
assert other.ids == rc.ids == [0, 1]
`)
	})
}

// TestAbort aborts what stands behind a running task, through control, which
// works while the engines are busy.
func TestAbort(t *testing.T) {
	withEngines(t, 1, Options{}, func(_ *testing.T, c *cluster, p python, _ []*engineProcess) {
		c.run(p, `
e = rc[0]
hog = e.apply_async(time.sleep, 1)
behind = [e.apply_async(lambda: i) for i in range(5)]
last = e.apply_async(lambda: 'ran')
until(lambda: rc.queue_status(0)['queue'] == 7)
rc.abort(behind)
for ar in behind:
    raises(error.TaskAborted, ar.get, 10)
assert hog.get(10) is None and last.get(10) == 'ran'
`)
	})
}

// TestBroadcast covers both kinds of broadcast view, on trees of several depths.
func TestBroadcast(t *testing.T) {
	for name, depth := range map[string]int{"none": NoTree, "one": 1, "two": 2} {
		t.Run(name, func(t *testing.T) {
			withEngines(t, 3, Options{BroadcastDepth: depth}, func(_ *testing.T, c *cluster, p python, _ []*engineProcess) {
				c.run(p, `
pids = rc[:].apply_sync(os.getpid)
for coalescing in (False, True):
    bv = rc.broadcast_view(is_coalescing=coalescing)
    ar = bv.apply(os.getpid)
    assert sorted(ar.get(10)) == sorted(pids)
    bv.execute('x = 3', block=True)
    assert rc[:]['x'] == [3, 3, 3]
    e = raises(Exception, lambda: bv.apply(lambda: 1/0).get(10))
    assert 'ZeroDivisionError' in str(e) + repr(e), e
    if ipp.version_info[0] > 7:
        assert sorted(bv.map_sync(lambda x: x + 1, range(7))) == list(range(1, 8))
ar = rc.broadcast_view([0, 2]).apply(os.getpid)
assert set(ar.get(10)) == {pids[0], pids[2]}
`)
			})
		})
	}
}

// TestLostEngine kills an engine with its nanny while it works for every kind
// of view.
func TestLostEngine(t *testing.T) {
	withEngines(t, 2, Options{HWM: 2}, func(_ *testing.T, c *cluster, p python, _ []*engineProcess) {
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

// wait waits for a file that a client makes.
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

// TestShutdown asks engines and controller to end.
func TestShutdown(t *testing.T) {
	withEngines(t, 2, Options{}, func(t *testing.T, c *cluster, p python, engines []*engineProcess) {
		c.run(p, `
other = ipp.Client(sys.argv[1])
rc.shutdown(hub=True, block=True)
`)
		c.wait(3 * time.Second)
		for _, e := range engines {
			select {
			case <-e.done:
			case <-time.After(10 * time.Second):
				t.Fatal("an engine is left")
			}
		}
		for _, path := range []string{c.client, c.engine} {
			if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s is left: %v", path, err)
			}
		}
	})
}

// TestLateEngines submits before there is an engine, and adds some meanwhile.
func TestLateEngines(t *testing.T) {
	for _, p := range pythons(t) {
		t.Run(p.name, func(t *testing.T) {
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

// TestRestore ends a controller under its engines and starts another one, which
// the engines and their namespaces are known to.
func TestRestore(t *testing.T) {
	withEngines(t, 2, Options{Reuse: true}, func(t *testing.T, c *cluster, p python, engines []*engineProcess) {
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
		again.run(p, "until(lambda: rc.ids == [1, 2])")
	})
}

// TestFrozenEngine stops an engine's processes without ending them: nothing but
// the heartbeat tells.
func TestFrozenEngine(t *testing.T) {
	o := Options{HeartbeatPeriod: 100 * time.Millisecond, MaxMisses: 5}
	withEngines(t, 2, o, func(_ *testing.T, c *cluster, p python, _ []*engineProcess) {
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

// TestInterrupt reaches a busy engine through control.
func TestInterrupt(t *testing.T) {
	withEngines(t, 1, Options{}, func(_ *testing.T, c *cluster, p python, _ []*engineProcess) {
		c.run(p, `
import signal
def busy(path):
    import time
    open(path, 'w').close()
    time.sleep(30)
started = sys.argv[1] + '.started'
ar = rc[0].apply_async(busy, started)
until(lambda: os.path.exists(started))
rc.send_signal(signal.SIGINT, targets=0, block=True)
raises(KeyboardInterrupt, ar.get, 10)
assert rc[0].apply_sync(lambda: 1) == 1
`)
	})
}

// TestPure has no scheduler: tasks go to engines in turn.
func TestPure(t *testing.T) {
	withEngines(t, 2, Options{Scheme: queue.SchemePure}, func(_ *testing.T, c *cluster, p python, _ []*engineProcess) {
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
