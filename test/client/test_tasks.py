"""The load-balanced view: dependencies, targets, retries, many tasks."""

import os
import time

import ipyparallel as ipp
from ipyparallel import error

from harness.case import SharedCluster

__name__ = "__main__"  # functions sent from here are a user's own, not a module's


class Tasks(SharedCluster):
    def setUp(self):
        super().setUp()
        self.lb = self.rc.load_balanced_view()

    def test_after(self):
        first = self.lb.apply_async(time.sleep, 0.5)
        with self.lb.temp_flags(after=first):
            second = self.lb.apply_async(os.getpid)
        second.get(20)
        self.assertTrue(first.ready())
        self.assertGreaterEqual(second.started, first.completed)

    def test_follow(self):
        leaders = [self.lb.apply_async(os.getpid) for _ in range(4)]
        for leader in leaders:
            with self.lb.temp_flags(follow=leader):
                follower = self.lb.apply_async(os.getpid)
            self.assertEqual(follower.get(20), leader.get(20))

    def test_after_failure(self):
        bad = self.lb.apply_async(lambda: 1 / 0)
        with self.lb.temp_flags(after=ipp.Dependency([bad], success=False, failure=True)):
            self.assertEqual(self.lb.apply_async(lambda: "cleaned").get(20), "cleaned")
        with self.lb.temp_flags(after=bad):
            with self.assertRaises(error.RemoteError) as caught:
                self.lb.apply_async(os.getpid).get(20)
        self.assertIn("Impossible", type(caught.exception).__name__ + caught.exception.ename)

    def test_unknown_dependency(self):
        with self.lb.temp_flags(after=["00000000-nothing_1_1"]):
            with self.assertRaises(error.RemoteError) as caught:
                self.lb.apply_async(os.getpid).get(20)
        self.assertIn("Dependency", caught.exception.ename)

    def test_timeout(self):
        slow = self.lb.apply_async(time.sleep, 3)
        began = time.monotonic()
        with self.lb.temp_flags(after=slow, timeout=0.3):
            with self.assertRaises(error.RemoteError) as caught:
                self.lb.apply_async(os.getpid).get(20)
        self.assertIn("Timeout", caught.exception.ename)
        self.assertLess(time.monotonic() - began, 2.9)
        slow.get(20)

    def test_targets(self):
        pids = self.rc[:].apply_async(os.getpid).get_dict()
        some = self.rc.load_balanced_view([1, 3])
        self.assertLessEqual(set(some.map_sync(lambda _: __import__("os").getpid(), range(20))), {pids[1], pids[3]})

    def test_retries(self):
        def second_time_lucky(path):
            import os

            try:
                os.close(os.open(path, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                return "done"
            raise ValueError("first time")

        with self.lb.temp_flags(retries=1):
            self.assertEqual(self.lb.apply_async(second_time_lucky, self.path("once")).get(20), "done")
        with self.assertRaises(error.RemoteError) as caught:
            self.lb.apply_async(second_time_lucky, self.path("never")).get(20)
        self.assertEqual(caught.exception.ename, "ValueError")

    def test_require(self):
        @ipp.require("json")
        def dump():
            return json.dumps([1])  # noqa: F821

        self.assertEqual(self.lb.apply_async(dump).get(20), "[1]")

        if self.shared.starter == "ipcluster":
            return  # upstream waits for ever for an engine that has the module

        @ipp.require("no_such_module_anywhere")
        def never():
            return 1

        with self.assertRaises(error.RemoteError) as caught:
            self.lb.apply_async(never).get(20)
        self.assertIn("Impossible", caught.exception.ename)

    def test_depend(self):
        pids = self.rc[:].apply_async(os.getpid).get_dict()

        def is_it(pid):
            import os

            return os.getpid() == pid

        @ipp.depend(is_it, pids[2])
        def where():
            import os

            return os.getpid()

        for _ in range(3):
            self.assertEqual(self.lb.apply_async(where).get(20), pids[2])

    def test_many_tasks(self):
        ars = [self.lb.apply_async(lambda i: i, i) for i in range(2000)]
        self.assertEqual([ar.get(60) for ar in ars], list(range(2000)))

    def test_load_goes_where_room_is(self):
        busy = self.rc.load_balanced_view()
        sleeps = [busy.apply_async(time.sleep, 0.5) for _ in range(4)]
        for ar in sleeps:
            ar.get(20)
        self.assertEqual(len({ar.engine_id for ar in sleeps}), 4)

    def test_error_goes_to_its_caller(self):
        ar = self.lb.map_async(lambda x: 1 // x, [1, 0, 1])
        with self.assertRaises((error.CompositeError, error.RemoteError)) as caught:
            ar.get(20)
        self.assertIn("ZeroDivisionError", str(caught.exception))

    def test_abort_of_waiting_tasks(self):
        one = self.rc.load_balanced_view([0])
        sleep = one.apply_async(time.sleep, 1)
        doomed = [one.apply_async(os.getpid) for _ in range(3)]
        self.rc.abort([ar.msg_ids[0] for ar in doomed])
        sleep.get(20)
        for ar in doomed:
            with self.assertRaises(error.TaskAborted):
                ar.get(20)
