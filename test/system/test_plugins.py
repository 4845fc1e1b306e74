"""A launcher from outside: examples/mine, built as a third party would."""

import json
import os
import shutil

from harness import golang
from harness.case import Case
from harness.cluster import IPCORE, ROOT

NAME = "ipcore-launcher-mine"


class ThirdParty(Case):
    deadline = 240  # it compiles

    def setUp(self):
        self.c = self.cluster(n=2, start=False)
        # A copy outside the repository: it can see the sdk, and the build would
        # fail if it needed more than its own go.mod names.
        self.source = os.path.join(self.c.root, "source")
        shutil.copytree(os.path.join(ROOT, "examples", "mine"), self.source)
        self.edit("go.mod", "=> ../..", f"=> {ROOT}")
        self.folder = os.path.join(self.c.root, "launchers")
        os.mkdir(self.folder, 0o755)
        self.plugin = os.path.join(self.folder, NAME)
        golang.build(self.source, self.plugin, self.c.env)
        self.c.env["IPCORE_LAUNCHER_PATH"] = self.folder

    def edit(self, name, old, new):
        path = os.path.join(self.source, name)
        with open(path) as f:
            text = f.read()
        self.assertIn(old, text)
        with open(path, "w") as f:
            f.write(text.replace(old, new))

    def version(self):
        """What ipcore launchers says of mine."""
        found = json.loads(self.c.run(IPCORE, "launchers", "--json").stdout)
        return [(e["version"], e["path"]) for e in found if e["name"] == "mine"]

    def use(self):
        self.c.run(IPCORE, "--engines=mine", "-n", "2", f"--profile-dir={self.c.profile}", "--daemonize")
        rc = self.c.client()
        self.assertEqual(rc.ids, [0, 1])
        self.assertEqual(len(set(rc[:].apply_sync(os.getpid))), 2)
        self.c.stop()
        self.assert_nothing_left(self.c)

    def test_used_swapped_and_deleted(self):
        self.assertEqual(self.version(), [("1.0.0", self.plugin)])
        self.use()

        self.edit("main.go", '"1.0.0"', '"1.1.0"')
        golang.build(self.source, self.plugin + ".new", self.c.env)
        os.rename(self.plugin + ".new", self.plugin)
        self.assertEqual(self.version(), [("1.1.0", self.plugin)])
        self.use()

        os.unlink(self.plugin)
        done = self.c.run(IPCORE, "--engines=mine", "-n", "2", f"--profile-dir={self.c.profile}", "--daemonize", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("mine", done.stderr)
        self.assertIn("local", done.stderr, "names what was found")
        for place in (
            self.folder,
            os.path.join(self.c.profile, "launchers"),
            os.path.join(self.c.env["HOME"], ".local", "share", "ipcore", "launchers"),
            os.path.join(os.path.dirname(os.path.dirname(IPCORE)), "libexec", "ipcore"),
            os.path.dirname(IPCORE),
        ):
            self.assertIn(place, done.stderr)
        self.assert_nothing_left(self.c)

    def test_full_path(self):
        del self.c.env["IPCORE_LAUNCHER_PATH"]
        self.c.run(IPCORE, "start", f"--engines={self.plugin}", "-n", "2", f"--profile-dir={self.c.profile}", "--daemonize")
        self.assertEqual(self.c.client().ids, [0, 1])
        self.c.stop()
        self.assert_nothing_left(self.c)

    def test_swapped_while_it_runs(self):
        # Stop uses the newer build on the older one's state.
        self.c.run(IPCORE, "--engines=mine", "-n", "2", f"--profile-dir={self.c.profile}", "--daemonize")
        self.edit("main.go", '"1.0.0"', '"1.1.0"')
        golang.build(self.source, self.plugin + ".new", self.c.env)
        os.rename(self.plugin + ".new", self.plugin)
        self.assertEqual(self.c.client().ids, [0, 1])
        self.c.stop()
        self.assert_nothing_left(self.c)

    def test_writable_by_others_is_refused(self):
        os.chmod(self.plugin, 0o777)
        done = self.c.run(IPCORE, "--engines=mine", "-n", "2", f"--profile-dir={self.c.profile}", "--daemonize", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(self.plugin, done.stderr)
        self.assertIn("writ", done.stderr)

    def test_list(self):
        text = self.c.run(IPCORE, "launchers").stdout
        self.assertIn("local", text)
        self.assertIn("mine", text)
        self.assertIn(self.plugin, text)
