"""ipcore start and stop as a person meets them."""

import json
import os
import signal
import subprocess
import time
import unittest

from harness import cluster
from harness.case import Case
from harness.cluster import IPCORE
from harness.processes import kill, wait_until
from harness.terminal import Terminal

__name__ = "__main__"  # functions sent from here are a user's own, not a module's

OURS = cluster.STARTER == "ipcore"


class Foreground(Case):
    def start(self):
        c = self.cluster(start=False)
        os.makedirs(c.profile, exist_ok=True)
        t = Terminal(c.command(), c.env, c.root)
        self.addCleanup(t.close)
        wait_until(lambda: t.read() and c.connectable(), 30, lambda: "connection file\n" + t.output)
        rc = c.client(timeout=30)
        wait_until(lambda: t.read() and len(rc.ids) == 4, 30, lambda: "four engines\n" + t.output)
        return c, t, rc

    def test_control_c(self):
        c, t, rc = self.start()
        rc[:].apply_sync(os.getpid)
        rc[0].apply_async(time.sleep, 60)
        c.close_clients()
        t.press("\x03")
        began = time.monotonic()
        code = t.wait(30)
        took = time.monotonic() - began
        self.assertEqual(code, 0, t.output)
        self.assert_nothing_left(c)
        if OURS:
            self.assertLess(took, 5, t.output)

    def test_says_how_to_connect(self):
        c, t, _ = self.start()
        wait_until(lambda: c.profile in t.read() and "Client(" in t.output, 10, lambda: "the lines to connect\n" + t.output)
        c.close_clients()
        t.press("\x03")
        t.wait(10)

    def test_terminated(self):
        c, t, rc = self.start()
        c.close_clients()
        kill([t.process.pid], signal.SIGTERM)
        self.assertEqual(t.wait(10), 0, t.output)
        self.assert_nothing_left(c)

    def test_two_control_cs(self):
        c, t, rc = self.start()
        c.close_clients()
        t.press("\x03")
        t.press("\x03")
        t.wait(10)
        c.wait_no_processes(10)
        # The second kills; a controller that was killed leaves its lock file.
        self.assertEqual([f for f in c.leftover_files() if not f.endswith(".lock")], [])


class Detached(Case):
    def test_start_list_stop(self):
        c = self.cluster()
        rc = c.client()
        self.assertEqual(rc.ids, [0, 1, 2, 3])
        self.assertTrue(os.path.exists(c.cluster_file))
        for name in os.listdir(os.path.dirname(c.cluster_file)):
            mode = os.stat(os.path.join(os.path.dirname(c.cluster_file), name)).st_mode & 0o777
            if name.endswith("client.json") or name.endswith("engine.json"):
                self.assertEqual(oct(mode), "0o600", name)
        text = c.run(IPCORE, "list", f"--profile-dir={c.profile}").stdout
        self.assertRegex(text, r"(?i)running")
        (one,) = json.loads(c.run(IPCORE, "list", "--json", f"--profile-dir={c.profile}").stdout)
        self.assertEqual((one["running"], one["engines_running"], one["profile_dir"]), (True, 4, c.profile))
        c.stop()
        self.assert_nothing_left(c)
        self.assertEqual(json.loads(c.run(IPCORE, "list", "--json", f"--profile-dir={c.profile}").stdout), [])

    def test_stop_of_nothing(self):
        c = self.cluster(start=False)
        done = c.run(IPCORE, "stop", f"--profile-dir={c.profile}", check=False)
        self.assertEqual(done.returncode, 11, "upstream's code for this")
        self.assertIn("error", done.stderr)

    def test_start_again_is_refused(self):
        c = self.cluster()
        done = c.run(*c.command("--daemonize"), check=False)
        self.assertEqual(done.returncode, 10, "upstream's code for this")
        self.assertIn("running", done.stderr)
        rc = c.client()
        self.assertEqual(rc.ids, [0, 1, 2, 3], "the running cluster is as it was")
        self.assertEqual(rc[:].apply_sync(lambda: 1), [1] * 4)
        c.stop()
        self.assert_nothing_left(c)

    def test_two_starts_at_once(self):
        c = self.cluster(start=False)
        starts = [
            c.spawn(*c.command("--daemonize"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for _ in range(2)
        ]
        outputs = [s.communicate(timeout=40)[0] for s in starts]
        codes = [s.returncode for s in starts]
        self.assertEqual(codes.count(0), 1, list(zip(codes, outputs)))
        self.assertIn("running", outputs[1 if codes[0] == 0 else 0])
        rc = c.client()
        self.assertEqual(rc.ids, [0, 1, 2, 3])
        self.assertEqual(rc[:].apply_sync(lambda: 1), [1] * 4)
        c.stop()
        self.assert_nothing_left(c)

    def test_two_clusters_of_one_profile(self):
        c = self.cluster()
        c.run(*c.command("--daemonize", "--cluster-id=other"))
        c.run(IPCORE, "stop", f"--profile-dir={c.profile}", "--cluster-id=other")
        self.assertEqual(c.client().ids, [0, 1, 2, 3])
        c.stop()
        self.assert_nothing_left(c)

    def test_start_and_stop_again(self):
        c = self.cluster()
        c.stop()
        c.start()
        self.assertEqual(c.client().ids, [0, 1, 2, 3])
        c.stop()
        self.assert_nothing_left(c)

    def test_engines_that_fail(self):
        c = self.cluster(start=False)
        script = os.path.join(c.root, "broken")
        with open(script, "w") as f:
            f.write("#!/bin/sh\necho the last words of a broken engine >&2\nexit 3\n")
        os.chmod(script, 0o755)
        for how in (["--daemonize"], []):
            with self.subTest(how=how):
                done = c.run(IPCORE, "start", "-n", "2", f"--profile-dir={c.profile}", "--engine-cmd", script, *how, check=False)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn("the last words of a broken engine", done.stderr + done.stdout)
                self.assert_nothing_left(c)

    def test_python_that_is_not_there(self):
        c = self.cluster(start=False)
        c.env["IPCORE_PYTHON"] = "/no/such/python"
        done = c.run(*c.command("--daemonize"), check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("/no/such/python", done.stderr + done.stdout)
        self.assert_nothing_left(c)

    def test_without_a_subcommand(self):
        c = self.cluster(n=2, start=False)
        c.run(IPCORE, "-n", "2", f"--profile-dir={c.profile}", "--daemonize")
        self.assertEqual(c.client().ids, [0, 1])
        c.stop()
        self.assert_nothing_left(c)


class Exec(Case):
    def test_exec(self):
        c = self.cluster(n=2)
        done = c.run(IPCORE, "exec", f"--profile-dir={c.profile}", "print('from', 6 * 7)")
        self.assertEqual(done.stdout.count("from 42"), 2, done.stdout)
        done = c.run(IPCORE, "exec", f"--profile-dir={c.profile}", "--targets=1", "2 ** 100")
        self.assertEqual(done.stdout.count(str(2**100)), 1, done.stdout)
        done = c.run(IPCORE, "exec", f"--profile-dir={c.profile}", "1/0", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("ZeroDivisionError", done.stdout + done.stderr)
        c.stop()
        self.assert_nothing_left(c)

    def test_exec_without_a_cluster(self):
        c = self.cluster(start=False)
        done = c.run(IPCORE, "exec", f"--profile-dir={c.profile}", "1", check=False, timeout=20)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("error", done.stderr)
