"""make demo's script leaves nothing behind."""

import os
import signal
import subprocess

from harness.case import Case
from harness.cluster import ROOT, Sandbox
from harness.processes import wait_until


class Demo(Case):
    deadline = 90

    def test_demo(self):
        s = Sandbox()
        self.addCleanup(s.close)
        done = s.run(os.path.join(ROOT, "examples", "sunspots", "demo.sh"), timeout=80)
        self.assertIn("years", done.stdout)
        self.assertIn("times as fast", done.stdout)
        s.wait_no_processes()
        self.assertEqual(s.leftover_files(), [])
        self.assertEqual(sorted(os.listdir(s.root)), ["home", "run", "tmp"], "only the sandbox's own folders")

    def test_demo_interrupted(self):
        s = Sandbox()
        self.addCleanup(s.close)
        p = s.spawn(os.path.join(ROOT, "examples", "sunspots", "demo.sh"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        wait_until(lambda: len(s.processes()) > 8, 30, "a cluster at work")
        os.killpg(p.pid, signal.SIGINT)
        output = p.communicate(timeout=30)[0]
        self.assertNotEqual(p.returncode, 0, output)
        s.wait_no_processes()
        self.assertEqual(s.leftover_files(), [])
