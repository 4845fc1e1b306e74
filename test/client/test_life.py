"""Engines and clusters that end: killed engines, crashing tasks, shutdown."""

import os
import signal
import time

from ipyparallel import error

from harness import cluster
from harness.case import Case
from harness.processes import alive, kill, wait_until

__name__ = "__main__"  # functions sent from here are a user's own, not a module's


def crash():
    import os

    os.kill(os.getpid(), 11)


class Life(Case):
    def test_killed_engine(self):
        c = self.cluster()
        rc = c.client()
        pid, worker = c.engine_pid(rc, 1), rc[1].apply_sync(os.getpid)
        ar = rc[1].apply_async(time.sleep, 60)
        others = rc[[0, 2, 3]].apply_async(lambda: __import__("time").sleep(1) or "fine")
        wait_until(lambda: rc.queue_status(targets=1)["queue"] == 1, 10, "the task on the engine")
        kill([pid], signal.SIGKILL)
        with self.assertRaises(error.RemoteError) as caught:
            ar.get(20)
        self.assertEqual(caught.exception.ename, "EngineError")
        wait_until(lambda: rc.ids == [0, 2, 3], 20, lambda: f"ids without 1, now {rc.ids}")
        self.assertEqual(others.get(20), ["fine"] * 3)
        self.assertEqual(sorted(rc.load_balanced_view().map_sync(abs, range(-20, 0))), list(range(1, 21)))
        wait_until(lambda: not alive(worker), 5, "end of the killed engine's worker")
        c.stop()

    def test_killed_engine_with_tasks(self):
        c = self.cluster()
        rc = c.client()
        lb = rc.load_balanced_view([2])
        pid = c.engine_pid(rc, 2)
        ar = lb.apply_async(time.sleep, 60)
        wait_until(lambda: rc.queue_status(targets=2)["tasks"] == 1, 10, "the task on the engine")
        kill([pid], signal.SIGKILL)
        with self.assertRaises(error.RemoteError) as caught:
            ar.get(30)
        self.assertIn(caught.exception.ename, ("EngineError", "ImpossibleDependency"))
        wait_until(lambda: rc.ids == [0, 1, 3], 20, lambda: f"ids without 2, now {rc.ids}")  # told on another connection
        c.stop()

    def test_task_of_a_killed_engine_is_tried_again(self):
        c = self.cluster(n=2)
        rc = c.client()
        lb = rc.load_balanced_view()
        marker = os.path.join(c.root, "ran")

        def first_dies(path):
            import os, signal

            try:
                os.close(os.open(path, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return "second engine"
            with open(path + ".pid", "w") as f:
                f.write(str(os.getppid() if native else os.getpid()))  # noqa: F821
            os.rename(path + ".pid", path + ".ready")
            __import__("time").sleep(60)

        rc[:].push({"native": c.native}, block=True)
        with lb.temp_flags(retries=1):
            ar = lb.apply_async(first_dies, marker)
        wait_until(lambda: os.path.exists(marker + ".ready"), 20, "start of the task")
        with open(marker + ".ready") as f:
            kill([int(f.read())], signal.SIGKILL)
        self.assertEqual(ar.get(30), "second engine")
        c.stop()

    def test_engine_shut_down(self):
        c = self.cluster(n=2)
        rc = c.client()
        rc.shutdown(targets=[0], block=True)
        wait_until(lambda: rc.ids == [1], 20, lambda: f"ids without 0, now {rc.ids}")
        self.assertEqual(rc[1].apply_sync(lambda: 3), 3)
        c.stop()

    def test_shutdown_with_hub(self):
        c = self.cluster()
        rc = c.client()
        files = os.listdir(os.path.dirname(c.connection_file))
        self.assertIn("ipcontroller-client.json", files)
        self.assertIn("ipcontroller-engine.json", files)
        rc.shutdown(hub=True, block=True)
        c.close_clients()
        c.wait_no_processes(20)
        left = os.listdir(os.path.dirname(c.connection_file))
        self.assertEqual([f for f in left if f.startswith("ipcontroller")], [])
        if c.starter == "ipcore":
            self.assertEqual(c.leftover_files(), [])

    def test_stop(self):
        c = self.cluster()
        rc = c.client()
        rc[:].apply_sync(os.getpid)
        if c.starter == "ipcore":  # upstream leaves engines behind that are at work
            rc[:].apply_async(time.sleep, 60)
        c.stop()
        if c.starter == "ipcore":
            self.assert_nothing_left(c)


class Native(Case):
    """What only a native engine can do: outlive its Python."""

    def test_crashing_task(self):
        c = self.cluster()
        rc = c.client()
        before = rc[1].apply_sync(os.getpid)
        ar = rc[1].apply_async(crash)
        with self.assertRaises(error.RemoteError) as caught:
            ar.get(20)
        self.assertIn("signal 11", str(caught.exception))
        self.assertEqual(rc.ids, [0, 1, 2, 3])
        after = rc[1].apply_sync(os.getpid)
        self.assertNotEqual(before, after)
        with self.assertRaises(error.RemoteError) as caught:
            rc[1].apply_sync(lambda: __import__("os")._exit(7))
        self.assertIn("7", str(caught.exception))
        self.assertEqual(rc[:].apply_sync(lambda: 1), [1] * 4)
        c.stop()


if not (cluster.ENGINES == "native" and cluster.STARTER == "ipcore"):
    del Native  # not skipped: with other engines there is nothing to test
