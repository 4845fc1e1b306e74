"""The conformance kit on the system under test, as `ipcore launchers test` runs it."""

import json
import os
import subprocess
import tempfile

from harness import entrypoints
from harness.case import Case
from harness.cluster import IPCORE
from harness.systems import NAME, SYSTEM


def described():
    """What the launcher says of itself."""
    return json.loads(subprocess.run([IPCORE, "launchers", "show", SYSTEM.launcher, "--json"], check=True, stdout=subprocess.PIPE).stdout)


if SYSTEM.shares_files:  # else the kit could not see what its workloads do

    class Kit(Case):
        deadline = 1800

        def test_conformance(self):
            command = [IPCORE, "launchers", "test", SYSTEM.launcher, "--patience=120", "--json"]
            for cls, options in SYSTEM.settings.items():
                for name, value in options.items():
                    command.append(f"--{cls}.{name}={value if isinstance(value, str) else json.dumps(value)}")
            with tempfile.TemporaryDirectory(prefix="ipck-") as folder:
                done = subprocess.run(
                    [*command, f"--dir={folder}"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
                )
            results = json.loads(done.stdout) if done.stdout else []
            wrong = [f"{r['check']} ({r.get('kind')}): {r['want']}; seen: {r['seen']}" for r in results if r["outcome"] == "FAIL"]
            self.assertTrue(results and not wrong and done.returncode == 0, "\n".join(wrong + [done.stderr]))
            for kind in described()["kinds"]:
                self.assertGreater(sum(r["outcome"] == "pass" and r.get("kind") == kind for r in results), 40, kind)


if NAME == "local":

    class EntryPoint(Case):
        """The kit on a Python class behind an entry point."""

        deadline = 900

        def test_conformance(self):
            c = self.cluster(start=False)
            c.env["PYTHONPATH"] = os.path.join(c.root, "packages")
            entrypoints.install(c.env["PYTHONPATH"])
            done = c.run(
                IPCORE, "launchers", "test", "mine", f"--profile-dir={c.profile}", "--patience=60s", "--json", check=False, timeout=880
            )
            self.assertTrue(done.stdout, done.stderr)
            results = json.loads(done.stdout)
            self.assertEqual([r for r in results if r["outcome"] == "FAIL"], [])
            self.assertEqual(done.returncode, 0)
            self.assertEqual({r.get("kind") for r in results if r["outcome"] == "pass"} - {None}, {"controller", "engine"})
            c.wait_no_processes(15)
