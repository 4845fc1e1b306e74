"""Parts of a running cluster killed with -9."""

import json
import os
import subprocess
import signal
import time

from harness.case import Case
from harness.cluster import IPCORE
from harness.processes import alive, children, command, describe, kill, wait_until

__name__ = "__main__"  # functions sent from here are a user's own, not a module's


class Kills(Case):
    def named(self, c, *words):
        """The processes of a cluster whose command line holds all the words."""
        return [p for p in c.processes() if all(w in command(p) for w in words)]

    def list(self, c):
        return json.loads(c.run(IPCORE, "list", "--json", f"--profile-dir={c.profile}").stdout)

    def test_launcher_plugin(self):
        c = self.cluster()
        rc = c.client()
        slow = rc[:].apply_async(lambda: __import__("time").sleep(2) or "finished")
        plugins = wait_until(
            lambda: self.named(c, "ipcore-launcher-local"), 5, lambda: "a launcher plugin among\n" + describe(c.processes())
        )
        kill(plugins)
        self.assertEqual(slow.get(20), ["finished"] * 4)
        self.assertEqual(rc.load_balanced_view().map_sync(abs, range(-50, 0)), list(range(50, 0, -1)))
        c.stop()
        self.assert_nothing_left(c)

    def foreground(self):
        c = self.cluster(start=False)
        start = c.spawn(*c.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(start.wait)
        self.addCleanup(start.kill)
        wait_until(c.connectable, 20, "the connection file")
        rc = c.client(timeout=20)
        wait_until(lambda: rc.ids == [0, 1, 2, 3], 20, "four engines")
        return c, start, rc

    def test_foreground_start(self):
        c, start, rc = self.foreground()
        ar = rc[:].apply_async(lambda: __import__("time").sleep(1) or "finished")
        start.kill()
        start.wait()
        self.assertEqual(ar.get(20), ["finished"] * 4)
        (one,) = self.list(c)
        self.assertEqual((one["running"], one["supervised"], one["engines_running"]), (True, False, 4))
        c.stop()
        self.assert_nothing_left(c)
        c.start()
        self.assertEqual(c.client().ids, [0, 1, 2, 3])
        c.stop()
        self.assert_nothing_left(c)

    def test_start_in_the_middle(self):
        # Killed at once, a little later, and when the controller is there.
        for moment in (0.02, 0.1, "controller"):
            with self.subTest(moment=moment):
                c = self.cluster(start=False)
                start = c.spawn(*c.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                if moment == "controller":
                    wait_until(c.connectable, 20, "the connection file", interval=0.002)
                else:
                    time.sleep(moment)
                start.kill()
                start.wait()
                self.list(c)
                c.run(IPCORE, "stop", f"--profile-dir={c.profile}", check=False)
                c.wait_no_processes(10)
                c.start()
                self.assertEqual(c.client().ids, [0, 1, 2, 3])
                c.stop()
                self.assert_nothing_left(c)

    def test_everything(self):
        c = self.cluster()
        kill(c.processes())
        c.wait_no_processes()
        self.assertEqual([one for one in self.list(c) if one["running"]], [])
        c.start()
        self.assertEqual(c.client().ids, [0, 1, 2, 3])
        c.stop()
        self.assert_nothing_left(c)

    def test_supervisor(self):
        c = self.cluster()
        rc = c.client()
        pid = rc[0].apply_sync(os.getpid)
        plugins = self.named(c, "ipcore-launcher-local")
        supervisors = [p for p in c.processes() if set(children(p)) & set(plugins)]
        self.assertEqual(len(supervisors), 1, describe(c.processes()))
        kill(supervisors)
        wait_until(lambda: not any(map(alive, plugins)), 5, "end of the plugin, which is on a leash")
        self.assertEqual(rc[0].apply_sync(os.getpid), pid)
        (one,) = self.list(c)
        self.assertEqual((one["running"], one["supervised"], one["engines_running"]), (True, False, 4))
        c.stop()
        self.assert_nothing_left(c)

    def test_controller(self):
        c = self.cluster()
        kill(self.named(c, "ipcore", "controller"))
        c.run(IPCORE, "stop", f"--profile-dir={c.profile}", check=False)
        c.wait_no_processes(10)
        c.start()
        self.assertEqual(c.client().ids, [0, 1, 2, 3])
        c.stop()
        self.assert_nothing_left(c)

    def test_engine(self):
        c = self.cluster()
        rc = c.client()
        pid = c.engine_pid(rc, 3)
        kill([pid])
        wait_until(lambda: rc.ids == [0, 1, 2], 20, "three engines")
        self.assertFalse(alive(pid))
        c.stop()
        self.assert_nothing_left(c)
