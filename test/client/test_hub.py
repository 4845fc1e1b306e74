"""Questions to the hub: queues, results, history, other clients' work."""

import os
import time

from ipyparallel import error

from harness.case import SharedCluster
from harness.processes import wait_until

__name__ = "__main__"  # functions sent from here are a user's own, not a module's


class Hub(SharedCluster):
    def busy(self, view):
        """A request that lasts until the returned function is called."""
        path = self.path("released")

        def wait(path):
            import os, time

            while not os.path.exists(path):
                time.sleep(0.01)

        def release():
            open(path, "w").close()

        self.addCleanup(release)
        return view.apply_async(wait, path), release

    def test_queue_status(self):
        status = self.rc.queue_status()
        self.assertEqual(status["unassigned"], 0)
        for i in range(4):
            self.assertEqual(set(status[i]), {"queue", "completed", "tasks"})
        before = status[1]["completed"]
        self.rc[1].apply_sync(os.getpid)
        wait_until(lambda: self.rc.queue_status(targets=1)["completed"] == before + 1, 10, "one more completed")

    def test_queue_status_lists(self):
        busy, release = self.busy(self.rc[0])
        waiting = self.rc[0].apply_async(os.getpid)
        wait_until(
            lambda: set(self.rc.queue_status(targets=0, verbose=True)["queue"]) >= set(busy.msg_ids + waiting.msg_ids),
            10, "both requests in the queue", interval=0.05,
        )
        release()
        waiting.get(20)

    def test_db_query(self):
        ar = self.rc[:].apply_async(os.getpid)
        ar.get(20)

        def records():
            found = self.rc.db_query({"completed": {"$ne": None}}, keys=["msg_id", "completed"])
            return found if set(ar.msg_ids) <= {r["msg_id"] for r in found} else None

        for r in wait_until(records, 10, "the four records"):
            self.assertEqual(set(r), {"msg_id", "completed"})
            self.assertTrue(hasattr(r["completed"], "year"), f"{r['completed']!r} is a time")

    def test_db_query_by_engine(self):
        ar = self.rc[2].apply_async(os.getpid)
        ar.get(20)
        uuid = ar.engine_uuid

        def found():
            return [r for r in self.rc.db_query({"engine_uuid": uuid}, keys=["msg_id", "engine_uuid", "queue"]) if r["msg_id"] == ar.msg_ids[0]]

        (record,) = wait_until(found, 10, "the record")
        self.assertEqual((record["engine_uuid"], record["queue"]), (uuid, "mux"))

    def test_db_query_of_errors(self):
        ar = self.rc[0].apply_async(lambda: 1 / 0)
        with self.assertRaises(error.RemoteError):
            ar.get(20)

        def record():
            return [r for r in self.rc.db_query({"msg_id": ar.msg_ids[0]}) if r["completed"]]

        (r,) = wait_until(record, 10, "the record of the failed request")
        self.assertEqual(r["result_content"]["ename"], "ZeroDivisionError")

    def test_history_is_in_order(self):
        ars = [self.rc[i % 4].apply_async(os.getpid) for i in range(8)]
        ids = [ar.msg_ids[0] for ar in ars]
        for ar in ars:
            ar.get(20)
        wait_until(lambda: [i for i in self.rc.hub_history() if i in set(ids)] == ids, 10, "eight ids in order")

    def test_second_client_gets_the_result(self):
        ar = self.rc[:].apply_async(lambda x: [x] * 3, "abc")
        expected = ar.get(20)
        other = self.shared.client()
        self.assertEqual(other.get_result(ar.msg_ids).get(20), expected)

    def test_second_client_waits_for_a_result(self):
        ar = self.rc.load_balanced_view().apply_async(lambda: __import__("time").sleep(0.5) or "late")
        other = self.shared.client()
        wait_until(lambda: ar.msg_ids[0] in other.hub_history(), 10, "the task in the history")
        self.assertEqual(other.get_result(ar.msg_ids[0]).get(20), "late")

    def test_second_client_gets_the_error(self):
        ar = self.rc[0].apply_async(lambda: {}["gone"])
        with self.assertRaises(error.RemoteError):
            ar.get(20)
        other = self.shared.client()
        with self.assertRaises(error.RemoteError) as caught:
            other.get_result(ar.msg_ids[0]).get(20)
        self.assertEqual(caught.exception.ename, "KeyError")

    def test_result_status(self):
        ar, release = self.busy(self.rc[0])
        wait_until(lambda: ar.msg_ids[0] in self.rc.hub_history(), 10, "the request in the history", interval=0.01)
        self.assertEqual(self.rc.result_status(ar.msg_ids)["pending"], ar.msg_ids)
        release()
        ar.get(20)
        self.rc.purge_local_results("all")
        wait_until(lambda: self.rc.result_status(ar.msg_ids)["completed"] == ar.msg_ids, 10, "completed")

    def test_two_clients_at_once(self):
        other = self.shared.client()
        lb, v = self.rc.load_balanced_view(), other[:]
        ar = lb.map_async(lambda x: x + 1, range(200))
        for i in range(20):
            v.execute(f"z = {i}", block=True)
        self.assertEqual(ar.get(30), list(range(1, 201)))
        self.assertEqual(v["z"], [19] * 4)

    def test_abort_of_what_waits(self):
        view = self.rc[0]
        view.apply_sync(os.getpid)
        sleep = view.apply_async(time.sleep, 1.5)
        doomed = [view.apply_async(os.getpid) for _ in range(5)]
        kept = [view.apply_async(lambda i: i, i) for i in range(3)]
        self.rc.abort([ar.msg_ids[0] for ar in doomed])
        self.assertIsNone(sleep.get(20))
        for ar in doomed:
            with self.assertRaises(error.TaskAborted):
                ar.get(20)
        self.assertEqual([ar.get(20) for ar in kept], [0, 1, 2])

    def test_unknown_result(self):
        with self.assertRaises((KeyError, error.RemoteError)):
            self.rc.get_result("00000000-nothing_1_1").get(20)

    def test_purge(self):
        ar = self.rc[0].apply_async(os.getpid)
        ar.get(20)
        wait_until(lambda: ar.msg_ids[0] in self.rc.hub_history(), 10, "the record")
        self.rc.purge_hub_results(ar.msg_ids)
        self.assertNotIn(ar.msg_ids[0], self.rc.hub_history())
