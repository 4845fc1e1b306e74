"""The real client's work on native engines. Arguments: client connection file, number of engines."""

import os
import signal
import sys
import time

import ipyparallel as ipp
import numpy as np

rc = ipp.Client(sys.argv[1], timeout=30)
n = int(sys.argv[2])
deadline = time.time() + 30
while len(rc.ids) < n:
    assert time.time() < deadline, rc.ids
    time.sleep(0.01)


def fails(call, *names):
    """Return the remote error of a call, which must be one of the names."""
    try:
        call()
    except ipp.error.TaskAborted:
        assert "TaskAborted" in names
        return None
    except ipp.RemoteError as e:
        assert e.ename in names, e
        return e
    raise AssertionError("no error")


# Direct, balanced, broadcast.
view = rc[:]
view.block = True
pids = view.apply_sync(os.getpid)
assert len(set(pids)) == n, pids
balanced = rc.load_balanced_view()
assert balanced.map_sync(lambda x: x**10, range(100)) == [x**10 for x in range(100)]
broadcast = rc.broadcast_view()
for coalescing in False, True:
    broadcast.is_coalescing = coalescing
    assert broadcast.apply_sync(lambda: 42) == [42] * n

# Data.
one = rc[rc.ids[0]]
array = np.random.random(100 * 2**20 // 8)
one.push({"array": array}, block=True)
assert (one.pull("array", block=True) == array).all()
view.scatter("x", np.arange(64))
assert (view.gather("x") == np.arange(64)).all()

# Code, output and errors.
try:
    view.execute("1/0")
    raise AssertionError("no error")
except ipp.CompositeError as e:
    assert [x[0] for x in e.elist] == ["ZeroDivisionError"] * n, e.elist
    assert "1/0" in e.elist[0][2], e.elist[0][2]
ar = view.execute("import sys; print('out'); print('err', file=sys.stderr); 1 + 2", silent=False, block=False)
ar.get(10)
assert ar.wait_for_output(10)
assert ar.stdout == ["out\n"] * n and ar.stderr == ["err\n"] * n, (ar.stdout, ar.stderr)
assert [r.execute_result["data"]["text/plain"] for r in ar.get()] == ["3"] * n
assert [r.execution_count for r in ar.get()] == [1] * n, ar.get()
ar = view.apply_async(lambda: __import__("os").system("echo of a child"))
ar.get(10)
assert ar.wait_for_output(10)
assert ar.stdout == ["of a child\n"] * n, ar.stdout
ar = one.apply_async(lambda: [print("line", i) for i in range(30000)] and None)
ar.get(30)
assert ar.wait_for_output(30)
assert ar.stdout == "".join("line %d\n" % i for i in range(30000))


def wait():
    import time

    time.sleep(0.5)


# Aborts: five behind a sleeping one.
one.block = False
sleeping = one.apply_async(wait)
waiting = [one.apply_async(os.getpid) for _ in range(5)]
behind = one.apply_async(os.getpid)
rc.abort([id for ar in waiting for id in ar.msg_ids], block=True)
for ar in waiting:
    fails(lambda: ar.get(10), "TaskAborted")
sleeping.get(10)
behind.get(10)
first, second = one.execute("import time; time.sleep(.3); 1/0", silent=False), one.execute("1", silent=False)
fails(lambda: first.get(10), "ZeroDivisionError")
fails(lambda: second.get(10), "TaskAborted")

# A signal.
ar = one.apply_async(lambda: [print("in", flush=True), __import__("time").sleep(60)])
while ar.stdout != "in\n":
    time.sleep(0.01)
rc.send_signal(signal.SIGINT, targets=rc.ids[0], block=True)
fails(lambda: ar.get(10), "KeyboardInterrupt")

# Functional dependencies.
@ipp.require("not_a_module")
def needs():
    return 1


fails(lambda: one.apply(needs).get(10), "UnmetDependency", "ModuleNotFoundError", "ImportError")

# The end of a worker.
before = one.apply_sync(os.getpid)
ar = one.apply_async(lambda: (print("before"), __import__("os").kill(__import__("os").getpid(), 11)))
e = fails(lambda: ar.get(10), "EngineError")
assert "signal 11 (SIGSEGV)" in e.evalue and "Segmentation fault" in e.traceback, e.traceback
assert ar.wait_for_output(10)
assert ar.stdout == "before\n" and "A new one is starting" in ar.stderr, (ar.stdout, ar.stderr)
after = one.apply_sync(os.getpid)
assert after != before and len(rc.ids) == n, (before, after, rc.ids)
e = fails(lambda: one.apply_sync(__import__("os")._exit, 3), "EngineError")
assert "exited with status 3" in e.evalue, e

# An empty namespace, but for the startup command's.
one["a"] = 5
assert one.pull("a", block=True) == 5
one.clear(block=True)
fails(lambda: one.pull("a", block=True), "NameError")
assert one.pull("marker", block=True) == "here"

# A hub writes its books beside the data path: the answer can be here first.
deadline = time.time() + 30
while True:
    status = rc.queue_status()
    if status["unassigned"] == 0 and all(status[i]["queue"] == 0 for i in rc.ids):
        break
    assert time.time() < deadline, status
    time.sleep(0.01)
rc.shutdown(hub=True, block=True)
