"""A controller killed with -9 and started again under Python's own engines and clients."""

import os
import subprocess
import sys
import time

import ipyparallel as ipp

from harness.case import Case
from harness.cluster import IPCORE, Sandbox
from harness.processes import wait_until

__name__ = "__main__"  # functions sent from here are a user's own, not a module's


class Restore(Case):
    deadline = 120

    def setUp(self):
        self.sandbox = Sandbox()
        self.addCleanup(self.sandbox.close)
        self.file = os.path.join(self.sandbox.profile, "security", "ipcontroller-client.json")

    def spawn(self, *command):
        process = self.sandbox.spawn(*command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def controller(self, *arguments):
        """A controller that is there: it has written its file anew, and it answers."""
        before = os.stat(self.file).st_mtime_ns if os.path.exists(self.file) else 0
        process = self.spawn(IPCORE, "controller", f"--profile-dir={self.sandbox.profile}", "--ping=250", *arguments)
        wait_until(lambda: os.path.exists(self.file) and os.stat(self.file).st_mtime_ns != before, 20, "the connection file")
        return process

    def engine(self):
        return self.spawn(sys.executable, "-m", "ipyparallel.engine", f"--profile-dir={self.sandbox.profile}", "--log-level=20")

    def client(self):
        rc = ipp.Client(self.file, timeout=20)
        self.addCleanup(rc.close)
        return rc

    def kill(self, process):
        process.kill()
        process.wait()

    def carries_on(self, rc, ids):
        """The client reaches the engines, one by one and through the task queue."""
        def reached():
            try:
                return rc[:].apply_async(lambda: 6 * 7).get(2) == [42] * len(ids)
            except (ipp.TimeoutError, ipp.error.CompositeError):
                return False  # not yet connected again

        wait_until(reached, 20, "answers of all engines")
        self.assertEqual(rc.ids, ids)
        self.assertEqual(rc.load_balanced_view().map_sync(abs, range(-50, 0)), list(range(50, 0, -1)))

    def test_restore(self):
        arguments = ("--reuse", "--restore")
        controller = self.controller(*arguments)
        engines = [self.engine() for _ in range(2)]
        rc = self.client()
        rc.wait_for_engines(2, timeout=20)
        rc[:].push({"kept": 3}, block=True)
        key = rc.session.key
        for _ in range(2):
            self.kill(controller)
            controller = self.controller(*arguments)
            self.carries_on(rc, [0, 1])
            self.assertEqual(rc[:].pull("kept", block=True), [3, 3])
            newcomer = self.client()
            self.assertEqual((newcomer.ids, newcomer.session.key), ([0, 1], key))
        engines.append(self.engine())
        wait_until(lambda: rc.ids == [0, 1, 2], 20, "a third engine")
        self.carries_on(rc, [0, 1, 2])
        self.kill(engines[0])
        wait_until(lambda: len(rc.ids) == 2, 20, "the loss of an engine")

    def test_restore_with_sqlite(self):
        arguments = ("--reuse", "--restore", "--sqlitedb")
        controller = self.controller(*arguments)
        self.engine()
        self.engine()
        rc = self.client()
        rc.wait_for_engines(2, timeout=20)
        direct = rc[:].apply_async(lambda: "direct")
        spread = rc.load_balanced_view().map_async(lambda i: i * i, range(20))
        self.assertEqual((direct.get(20), spread.get(20)), (["direct"] * 2, [i * i for i in range(20)]))
        ids = direct.msg_ids + spread.msg_ids
        time.sleep(0.2)  # what is older than 100 ms outlives a kill
        self.kill(controller)
        self.controller(*arguments)
        self.carries_on(rc, [0, 1])
        newcomer = self.client()
        history = newcomer.hub_history()
        self.assertEqual([i for i in ids if i not in history], [])
        self.assertEqual(history[: len(ids)], sorted(ids, key=history.index))
        results = newcomer.get_result(ids, owner=False).get(20)
        self.assertEqual(results, ["direct"] * 2 + [[i * i] for i in range(20)])  # a task of a map has a list
        done = newcomer.db_query({"msg_id": {"$in": ids}}, keys=["completed"])
        self.assertTrue(all(record["completed"] for record in done), done)

    def test_engine_that_ends_meanwhile(self):
        controller = self.controller("--restore")
        engines = [self.engine() for _ in range(2)]
        rc = self.client()
        rc.wait_for_engines(2, timeout=20)
        self.kill(controller)
        self.kill(engines[0])
        again = self.controller("--restore")

        def one_is_left():
            try:
                return len(self.client().ids) == 1
            except Exception:  # a client that came while the controller was coming back
                return False

        wait_until(one_is_left, 30, "the loss of the engine that ended")
        self.assertIsNone(again.poll())

    def test_reuse(self):
        controller = self.controller("--reuse")
        rc = self.client()
        self.kill(controller)
        self.controller("--reuse")
        self.engine()
        wait_until(lambda: self.client().ids == [0], 20, "an engine")
        wait_until(lambda: rc.ids == [0], 20, "news of it at the former client")
        self.carries_on(rc, [0])
