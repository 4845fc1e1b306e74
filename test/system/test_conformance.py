"""The conformance kit on launchers in three languages: `ipcore launchers test`."""

import json
import os
import shutil
import subprocess
import unittest

from harness import golang
from harness.case import Case
from harness.cluster import BIN, IPCORE, ROOT


def has_shell_tools():
    try:
        return subprocess.run(["setsid", "env", "--default-signal=INT", "ps", "-o", "lstart=", "-p", "1"],
                              stdout=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False


class Kit(Case):
    deadline = 400

    def passes(self, launcher, *args, language=None):
        c = self.cluster(n=1, start=False)
        if language == "go":
            source = os.path.join(c.root, "source")
            shutil.copytree(os.path.join(ROOT, "examples", "mine"), source)
            with open(os.path.join(source, "go.mod")) as f:
                text = f.read()
            with open(os.path.join(source, "go.mod"), "w") as f:
                f.write(text.replace("=> ../..", f"=> {ROOT}"))
            golang.build(source, launcher := os.path.join(c.root, launcher), c.env)
        done = c.run(IPCORE, "launchers", "test", launcher, "--json", "--patience=60s", *args, check=False, timeout=380)
        self.assertTrue(done.stdout, done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual([r for r in report if r["outcome"] == "FAIL"], [])
        self.assertEqual(done.returncode, 0)
        self.assertGreater(sum(r["outcome"] == "pass" for r in report), 60)
        c.wait_no_processes(15)

    def test_local(self):
        self.passes(os.path.join(BIN, "ipcore-launcher-local"))

    def test_mine_in_go(self):
        self.passes("ipcore-launcher-mine", language="go")

    @unittest.skipUnless(has_shell_tools(), "examples/mine-shell needs setsid, ps and GNU env "
                                            "(Debian: apt-get install util-linux procps coreutils)")
    def test_mine_in_shell(self):
        self.passes(os.path.join(ROOT, "examples", "mine-shell", "ipcore-launcher-mine-shell"))

    @unittest.skipUnless(os.environ.get("IPCORE_TEST_MINE_PYTHON"), "examples/mine-python was not built: . test/env.sh builds it")
    def test_mine_in_python(self):
        self.passes(os.environ["IPCORE_TEST_MINE_PYTHON"])


if __name__ == "__main__":
    unittest.main()
