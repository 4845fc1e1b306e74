"""A remote ipcluster of ipyparallel's own, which shares the profile's folder with us."""

import json
import os
import sys

from harness.case import Case
from harness.cluster import IPCORE
from harness.systems import SYSTEM, SystemCluster

__name__ = "__main__"  # functions sent from here are a user's own, not a module's


def host():
    """The node of the engine that is asked."""
    import os

    return os.uname().nodename


class Proxied(SystemCluster):
    """Engines that an ipcluster starts on a host, ipyparallel's or ours, and a controller here."""

    ipcluster = [sys.executable, "-m", "ipyparallel.cluster"]

    def command(self, *extra):
        ipcluster = json.dumps(self.ipcluster)
        return super().command("--engines=sshproxy", "--sshproxy.hostname=h2", f"--sshproxy.ipcluster_cmd={ipcluster}", *extra)


if SYSTEM.launcher == "ssh" and SYSTEM.shares_files:

    class RemoteIpcluster(Case):
        deadline = 240

        def test_start_list_stop(self):
            self.cycle(Proxied(3, controller="local"))

        def test_ipcore_there(self):
            c = Proxied(3, controller="local")
            c.ipcluster = [IPCORE]
            self.cycle(c)

        def cycle(self, c):
            self.addCleanup(c.close)
            c.start()
            rc = c.client()
            self.assertEqual(rc.ids, [0, 1, 2], "start waits for the engines, not for ipcluster")
            self.assertEqual(set(rc[:].apply_sync(host)), {"h2"})
            listed = c.listed()
            self.assertEqual((listed["running"], listed["engines_running"]), (True, 3))
            with open(c.cluster_file) as f:
                self.assertIn("controller", json.load(f), "ipcluster leaves our cluster file alone")
            c.stop()
            self.assertEqual(os.listdir(os.path.dirname(c.cluster_file)), [])
