"""What only MPI has: ranks, and a universe that the controller is not in."""

from harness.case import Case
from harness.processes import command
from harness.systems import SYSTEM, SystemCluster

__name__ = "__main__"  # functions sent from here are a user's own, not a module's


def world():
    """The rank of the engine that is asked, and how many ranks its universe has."""
    import os

    for name in ("OMPI_COMM_WORLD_", "PMI_"):
        if name + "RANK" in os.environ:
            return int(os.environ[name + "RANK"]), int(os.environ[name + "SIZE"])


def environment(pid):
    with open(f"/proc/{pid}/environ") as f:
        return dict(entry.partition("=")[::2] for entry in f.read().split("\0"))


if SYSTEM.launcher == "mpi":

    class Universe(Case):
        deadline = 240

        def test_ids_are_ranks(self):
            c = SystemCluster(4)
            self.addCleanup(c.close)
            c.start()
            rc = c.client()
            self.assertEqual(rc[:].apply_sync(world), [(0, 4), (1, 4), (2, 4), (3, 4)])
            (controller,) = [p for p in c.processes() if "controller" in command(p).split()[1:2]]
            env = environment(controller)
            self.assertEqual([env[n] for n in ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE") if n in env][:1], ["1"])
            c.stop()
