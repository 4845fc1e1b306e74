"""ipcore engines: more engines for a controller that runs."""

import json
import os
import sys

from harness.case import Case
from harness.cluster import IPCORE
from harness.processes import wait_until
from harness.terminal import Terminal

__name__ = "__main__"  # functions sent from here are a user's own, not a module's


class Joined(Case):
    def engines(self, c, *extra):
        """The command that has two engines join a cluster."""
        return [IPCORE, "engines", "-n", "2", f"--profile-dir={c.profile}", *extra]

    def foreground(self, c):
        t = Terminal(self.engines(c), c.env, c.root)
        self.addCleanup(t.close)
        wait_until(lambda: "ipcore stop" in t.read(), 30, lambda: "the engines\n" + t.output)
        return t

    def test_start_list_stop(self):
        c = self.cluster(2)
        c.run(*self.engines(c, "--daemonize"))
        rc = c.client()
        self.assertEqual(rc.ids, [0, 1, 2, 3], "the command waits for its own engines")
        self.assertEqual(rc[:].apply_sync(lambda: 7), [7] * 4)
        c.run(*self.engines(c, "--daemonize", "--engine-cmd", f"{sys.executable} -m ipyparallel.engine"))
        self.assertEqual(rc.ids, [0, 1, 2, 3, 4, 5])
        self.assertEqual(rc[4].apply_sync(os.getpid) in c.processes(), True)

        logs = [name for name in os.listdir(os.path.join(c.profile, "log")) if name.startswith("ipengine-")]
        self.assertEqual(len(logs), 6, logs)

        listed = json.loads(c.run(IPCORE, "list", f"--profile-dir={c.profile}", "--json").stdout)
        rows = [(row["cluster_id"], row["joins"], row["controller_running"], row["engines_running"], row["running"]) for row in listed]
        self.assertEqual(rows, [("", None, True, 2, True), ("engines-1", "", False, 2, True), ("engines-2", "", False, 2, True)])
        status = json.loads(c.run(IPCORE, "status", f"--profile-dir={c.profile}", "--cluster-id=engines-2", "--json").stdout)
        self.assertEqual((status["controller_answers"], len(status["registered"])), (True, 6))

        c.run(IPCORE, "stop", f"--profile-dir={c.profile}", "engines-1")
        wait_until(lambda: rc.ids == [0, 1, 4, 5], 10, lambda: f"the others alone, not {rc.ids}")
        self.assertEqual(rc[:].apply_sync(lambda: 7), [7] * 4)
        c.stop()  # those that have joined it, too
        self.assert_nothing_left(c)

    def test_control_c(self):
        c = self.cluster(2)
        t = self.foreground(c)
        rc = c.client()
        self.assertEqual(len(rc.ids), 4)
        t.press("\x03")
        self.assertEqual(t.wait(10), 0, t.output)
        wait_until(lambda: rc.ids == [0, 1], 10, lambda: f"the cluster's own engines, not {rc.ids}")
        c.stop()
        self.assert_nothing_left(c)

    def test_stopped_with_the_cluster(self):
        c = self.cluster(2)
        t = self.foreground(c)
        c.stop()
        self.assertEqual(t.wait(10), 0, t.output)
        self.assert_nothing_left(c)

    def test_controller_goes(self):
        c = self.cluster(2, start=False)
        os.makedirs(c.profile)
        first = Terminal(c.command(), c.env, c.root)
        self.addCleanup(first.close)
        wait_until(lambda: "ipcore stop" in first.read(), 30, lambda: "the cluster\n" + first.output)
        t = self.foreground(c)
        first.press("\x03")
        self.assertEqual(first.wait(10), 0, first.output)
        self.assertEqual(t.wait(10), 0, t.output)
        self.assertIn("the controller was stopped", t.output)
        self.assert_nothing_left(c)

    def test_client_shuts_all_down(self):
        c = self.cluster(2)
        t = self.foreground(c)
        c.client().shutdown(hub=True)
        c.close_clients()
        self.assertEqual(t.wait(20), 0, t.output)
        c.wait_no_processes(20)
        self.assert_nothing_left(c)

    def test_no_controller(self):
        c = self.cluster(2, start=False)
        done = c.run(*self.engines(c), check=False)
        self.assertEqual(done.returncode, 11, done.stderr)
        self.assertRegex(done.stderr, r"error: there is no controller to join: .*ipcontroller-engine.json\nhint: start one with: ipcore start ")
        self.assertFalse(os.path.exists(c.profile), "and no profile is made")
