"""Launchers that are Python classes behind ipyparallel's entry points: --engines=mine."""

import json
import os
import signal
import sys
import unittest

from harness import entrypoints, processes
from harness.case import Case
from harness.cluster import IPCORE

__name__ = "__main__"  # functions sent from here are a user's own, not a module's


class EntryPoints(Case):
    def setUp(self):
        self.c = self.cluster(n=2, start=False)
        packages = os.path.join(self.c.root, "packages")
        entrypoints.install(packages)
        self.c.env["PYTHONPATH"] = packages

    def launch(self, engines, *args):
        self.c.run(IPCORE, "start", "-n", "2", f"--engines={engines}", f"--profile-dir={self.c.profile}", "--daemonize", *args)
        # Whoever stops it later may be in another environment.
        self.c.env.pop("PYTHONPATH", None)
        self.c.env["IPCORE_PYTHON"] = "/nonexistent/python"
        return self.c.client()

    def pids_of(self, program):
        return [p for p in self.c.processes() if f"ipcore-launcher-{program}" in processes.command(p)]

    def test_used(self):
        rc = self.launch("mine", "--controller=mine", "--MineEngineSetLauncher.word=this")
        self.assertEqual(rc.ids, [0, 1])
        self.assertEqual(rc[:].map_sync(lambda x: x * x, range(8)), [x * x for x in range(8)])
        self.assertEqual(rc[:].apply_sync(lambda: __import__("os").environ["MINE_WORD"]), ["this", "this"])
        shown = json.loads(self.c.run(IPCORE, "status", "--json", f"--profile-dir={self.c.profile}").stdout)
        self.assertIn("mine", json.dumps(shown))
        self.c.stop()
        self.assert_nothing_left(self.c)

    @unittest.skipUnless(os.environ.get("IPCORE_TEST_PY91"), "no ipyparallel 9.1 here: . test/env.sh makes it")
    def test_used_with_the_newer_version(self):
        self.c.env["IPCORE_PYTHON"] = os.environ["IPCORE_TEST_PY91"]
        rc = self.launch("mine", "--controller=mine", "--MineEngineSetLauncher.word=this")
        self.assertEqual(rc[:].apply_sync(lambda: __import__("os").environ["MINE_WORD"]), ["this", "this"])
        self.c.stop()
        self.assert_nothing_left(self.c)

    def test_engine_killed_is_noticed(self):
        rc = self.launch("mine")
        os.kill(rc[0].apply_sync(os.getppid), signal.SIGKILL)
        processes.wait_until(lambda: rc.ids == [1], 10, lambda: f"engine 0's end, of {rc.ids}")

        def told():
            return "1 run, of 2" in self.c.logs(200)

        processes.wait_until(told, 5, lambda: "word of its end in the log" + self.c.logs(200))
        self.c.stop()
        self.assert_nothing_left(self.c)

    def test_found_again_when_all_that_watched_was_killed(self):
        rc = self.launch("mine", "--controller=mine")
        engines = rc[:].apply_sync(os.getppid)
        supervisor = [p for p in self.c.processes() if processes.command(p).startswith(f"{IPCORE} start")]
        for pid in supervisor + self.pids_of("mine"):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it went with another
        processes.wait_until(lambda: not self.pids_of("mine"), 5, "end of the plugin and its Python")
        self.assertTrue(all(map(processes.alive, engines)))
        self.c.stop()
        self.assert_nothing_left(self.c)

    def test_class_of_its_own_with_coroutines(self):
        rc = self.launch("own", "--wait=1")
        self.assertEqual(rc.ids, [0])
        rc[:].apply_sync(os.getpid)
        self.c.stop()
        self.assert_nothing_left(self.c)

    def test_path_of_a_class(self):
        self.assertEqual(self.launch("mine_launchers.MineEngineSetLauncher").ids, [0, 1])
        self.c.stop()
        self.assert_nothing_left(self.c)

    def test_shown(self):
        shown = json.loads(self.c.run(IPCORE, "launchers", "show", "mine", "--json", f"--profile-dir={self.c.profile}").stdout)
        self.assertEqual((shown["version"], shown["kinds"]), ("2.5", ["controller", "engine"]))
        self.assertEqual(shown["classes"]["engine"][:2], ["MineEngineSetLauncher", "LocalEngineSetLauncher"])
        self.assertIn({"name": "word", "type": "string", "default": "none", "help": "A word for the engines", "kinds": ["engine"]}, shown["options"])
        self.assertNotIn("engine_cmd", [o["name"] for o in shown["options"]])
        listed = self.c.run(IPCORE, "launchers", "--entry-points").stdout
        self.assertIn(f"mine_launchers:OwnEngineLauncher in {sys.executable}", listed)
        self.assertNotIn("ipyparallel.cluster.launcher", listed)
        self.assertNotIn("mine_launchers", self.c.run(IPCORE, "launchers").stdout)

    def test_what_is_not_there(self):
        done = self.c.run(IPCORE, "start", "--engines=nothing", f"--profile-dir={self.c.profile}", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"{sys.executable} has no entry point of that name", done.stderr)
        done = self.c.run(IPCORE, "start", "--engines=mine", "--mine.wrod=x", f"--profile-dir={self.c.profile}", check=False)
        self.assertIn("did you mean mine.word?", done.stderr)
        self.assert_nothing_left(self.c)
