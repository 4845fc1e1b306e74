"""A queue with few slots, and a controller that shares no files: a launcher made for tests."""

import json
import os
import stat
import time

from harness import golang
from harness.case import Case
from harness.cluster import IPCORE, ROOT
from harness.processes import command, kill, wait_until

__name__ = "__main__"  # functions sent from here are a user's own, not a module's


class Queue(Case):
    deadline = 240  # it compiles

    def setUp(self):
        self.c = self.cluster(n=6, start=False)
        launchers = os.path.join(self.c.root, "launchers")
        self.moods = os.path.join(self.c.root, "moods")
        for folder in (launchers, self.moods):
            os.mkdir(folder, 0o755)
        golang.build(os.path.join(ROOT, "core", "launch", "cluster", "testdata", "queue"), os.path.join(launchers, "ipcore-launcher-queue"), self.c.env)
        self.c.env.update(IPCORE_LAUNCHER_PATH=launchers, QUEUE_DIR=self.moods)

    def list(self):
        (one,) = json.loads(self.c.run(IPCORE, "list", "--json", f"--profile-dir={self.c.profile}").stdout)
        return one

    def status(self):
        return self.c.run(IPCORE, "status", f"--profile-dir={self.c.profile}").stdout

    def test_few_slots_then_cancelled(self):
        done = self.c.run(*self.c.command("--daemonize", "--engines=queue", "--queue.slots=2", "--timeout=15"))
        self.assertIn("running with 2 of 6 engines", done.stdout)
        self.assertIn("2 of 6 engines have registered; 4 wait: (Resources)", done.stderr)
        rc = self.c.client()
        self.assertEqual(rc[:].map_sync(lambda x: x * x, range(10)), [x * x for x in range(10)])
        one = self.list()
        self.assertEqual((one["engines_running"], one["engines_waiting"], one["n"]), (2, 4, 6))
        self.assertIn("2 of 6 run; 4 wait: (Resources)", self.status())

        with open(os.path.join(self.moods, "cancelled"), "w") as f:
            f.write("1000")
        kill([p for p in self.c.processes() if "ipcore engine" in command(p)])
        wait_until(lambda: not rc.ids, 10, "the engines to be lost")
        lost = time.monotonic()
        wait_until(lambda: self.list()["ended"], 5, "the cause")
        self.assertLess(time.monotonic() - lost, 5)
        self.assertEqual([e["cause"] for e in self.list()["ended"]], ["CANCELLED by 1000"])
        self.assertRegex(self.status(), r"ended +set [0-9]+ at .*: CANCELLED by 1000")
        self.assertIn("nothing is left", self.c.run(IPCORE, "stop", f"--profile-dir={self.c.profile}").stderr)
        self.c.close_clients()
        self.assert_nothing_left(self.c)

    def test_far_controller(self):
        self.c.n = 2
        self.c.start("--controller=queue", "--QueueControllerLauncher.far=true")
        far = self.c.profile + "-far"
        for kind in ("client", "engine"):
            name = os.path.join("security", f"ipcontroller-{kind}.json")
            with open(os.path.join(self.c.profile, name)) as here, open(os.path.join(far, name)) as there:
                self.assertEqual(here.read(), there.read())
            self.assertEqual(stat.S_IMODE(os.stat(os.path.join(self.c.profile, name)).st_mode), 0o600)
        connection = self.c.connection()
        self.assertTrue(connection["curve_serverkey"])
        self.assertNotIn("127.0.0.1", connection["interface"])
        self.assertEqual(self.c.client()[:].apply_sync(lambda: 6 * 7), [42, 42])
        self.c.stop()
        self.assert_nothing_left(self.c)
