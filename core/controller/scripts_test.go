package controller

import "testing"

// scripts are client programs. All run with the same two engines.
var scripts = []struct{ name, what, text string }{
	{"Direct", "apply, execute, output and data through the direct view", `
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
`},
	{"Balanced", "the load-balanced view", `
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
`},
	{"Hub", "what clients ask the hub", `
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
`},
	{"Abort", "abort what stands behind a running request, through control, which works while engines are busy", `
e = rc[0]
hog = e.apply_async(time.sleep, 1)
behind = [e.apply_async(lambda: i) for i in range(5)]
last = e.apply_async(lambda: 'ran')
until(lambda: rc.queue_status(0)['queue'] == 7)
rc.abort(behind)
for ar in behind:
    raises(error.TaskAborted, ar.get, 10)
assert hog.get(10) is None and last.get(10) == 'ran'
`},
	{"Interrupt", "reach a busy engine through control", `
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
`},
	{"Broadcast", "both kinds of broadcast view", broadcastScript},
}

const broadcastScript = `
pids = rc[:].apply_sync(os.getpid)
for coalescing in (False, True):
    bv = rc.broadcast_view(is_coalescing=coalescing)
    ar = bv.apply(os.getpid)
    assert sorted(ar.get(10)) == sorted(pids)
    bv.execute('x = 3', block=True)
    assert rc[:]['x'] == [3] * len(pids)
    e = raises(Exception, lambda: bv.apply(lambda: 1/0).get(10))
    assert 'ZeroDivisionError' in str(e) + repr(e), e
    if ipp.version_info[0] > 7:
        assert sorted(bv.map_sync(lambda x: x + 1, range(7))) == list(range(1, 8))
ar = rc.broadcast_view([0]).apply(os.getpid)
assert ar.get(10) == pids[:1]
`

// TestPython runs all scripts with each Python.
func TestPython(t *testing.T) {
	withEngines(t, 2, Options{}, func(t *testing.T, c *cluster, p interpreter, _ []*engineProcess) {
		for _, s := range scripts {
			t.Run(s.name, func(t *testing.T) {
				t.Log(s.what)
				c.with(t).run(p, s.text)
			})
		}
	})
}
