"""What only Slurm's bed can do: a wrong partition, more engines than slots, a time limit that strikes, a controller that is away."""

import json
import os
import shutil
import subprocess
import time

from harness.case import Case
from harness.cluster import IPCORE, ROOT
from harness.processes import wait_until
from harness.systems import SYSTEM, SystemCluster

__name__ = "__main__"  # functions sent from here are a user's own, not a module's


def bed(*words):
    subprocess.run([os.path.join(ROOT, "test", "testbed", "slurm.sh"), *words], check=True, stdout=subprocess.DEVNULL)


if SYSTEM.launcher == "slurm":

    class Slurm(Case):
        deadline = 300

        def setUp(self):
            self.c = SystemCluster(4, controller="local")
            self.addCleanup(self.c.close)

        def test_wrong_partition(self):
            done = self.c.run(*self.c.command("--daemonize", "--SlurmEngineSetLauncher.queue=nosuch"), check=False)
            self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
            self.assertRegex(done.stderr, "(?m)^error: .*invalid partition specified: nosuch")
            self.c.wait_nothing_left()

        def test_more_than_slots(self):
            """500 engines on 16 slots: one submission, one question an interval, and why the others wait."""
            c = SystemCluster(500, controller="local")
            self.addCleanup(c.close)
            calls = self.recorded(c, "sbatch", "squeue")
            with open(c.console, "w") as f:
                c.front = c.spawn(*c.command("--wait=16"), stdout=f, stderr=subprocess.STDOUT)
            c.said("running with 16 of 500 engines", 90)
            wait_until(lambda: len(calls("squeue")) >= 6, 60, "questions to Slurm")
            self.assertEqual(len(calls("sbatch")), 1)
            times = calls("squeue")
            self.assertGreater(min(b - a for a, b in zip(times[1:], times[2:])), 2, f"seconds between questions: {times}")
            status = json.loads(c.run(IPCORE, "status", "--json", f"--profile-dir={c.profile}").stdout)
            (engines,) = status["sets"].values()
            self.assertEqual((engines["running"], engines["pending"]), (16, 484))
            self.assertRegex(engines["text"], "Resources|Priority")
            c.stop()

        def recorded(self, c, *names):
            """Have the cluster's processes call commands through scripts; the answer tells when one was called."""
            folder = os.path.join(c.root, "commands")
            os.makedirs(folder)
            for name in names:
                with open(os.path.join(folder, name), "w") as f:
                    f.write(f'#!/bin/sh\ndate +%s.%N >>"$0.calls"\nexec {shutil.which(name)} "$@"\n')
                    os.fchmod(f.fileno(), 0o755)
            c.env["PATH"] = folder + os.pathsep + c.env["PATH"]

            def calls(name):
                try:
                    with open(os.path.join(folder, name + ".calls")) as f:
                        return [float(line) for line in f]
                except FileNotFoundError:
                    return []

            return calls

        def test_time_limit(self):
            rc = self.c.foreground("--SlurmEngineSetLauncher.time_limit=1m")
            wait_until(lambda: not rc.ids, 150, "the end of the engines")
            self.c.said("TIMEOUT", 15)
            self.c.stop()

        def test_controller_away(self):
            """For a minute slurmctld does not answer: engines work on, nothing is concluded, and the end is told afterwards."""
            rc = self.c.foreground()
            self.addCleanup(bed, "ctld-start")
            bed("ctld-stop")
            view = rc.load_balanced_view()
            end = time.monotonic() + 60
            while time.monotonic() < end:
                self.assertEqual(view.map_sync(abs, range(-20, 0)), list(range(20, 0, -1)))
                rc[:].apply_sync(time.sleep, 1)
            self.assertNotRegex(self.c.text(), "(?i)has ended|have ended")
            self.assertEqual(rc.ids, [0, 1, 2, 3])
            bed("ctld-start")
            self.c.kill_one_engine()
            self.c.said(r"(?i)an engine has ended", 60)  # it asks less often while Slurm is away
            self.c.stop()
