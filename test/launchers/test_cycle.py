"""The short form: a controller and four engines on the system, work, and nothing left."""

from harness.case import Case
from harness.systems import SystemCluster

__name__ = "__main__"  # functions sent from here are a user's own, not a module's


def where():
    """The node and the process that is asked."""
    import os

    return os.uname().nodename, os.getpid()


class Cycle(Case):
    deadline = 240

    def test_start_map_stop(self):
        c = SystemCluster(4)
        self.addCleanup(c.close)
        c.start()
        rc = c.client()
        self.assertEqual(rc.ids, [0, 1, 2, 3])
        self.assertEqual(len(set(rc[:].apply_sync(where))), 4)
        view = rc.load_balanced_view()
        self.assertEqual(view.map_sync(lambda x: x**10, range(64)), [x**10 for x in range(64)])
        c.stop()
        self.assertEqual(c.leftover_files(), [])
