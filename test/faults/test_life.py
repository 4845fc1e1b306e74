"""Engines killed, starts killed and jobs cancelled, on the system under test."""

from harness.case import Case
from harness.processes import wait_until
from harness.systems import SYSTEM, SystemCluster

__name__ = "__main__"  # functions sent from here are a user's own, not a module's


class Life(Case):
    deadline = 300

    def setUp(self):
        self.c = SystemCluster(4)
        self.addCleanup(self.c.close)

    def works(self, rc):
        self.assertEqual(rc.load_balanced_view().map_sync(abs, range(-50, 0)), list(range(50, 0, -1)))

    def test_engine_killed(self):
        """The end of an engine is told with its cause within five seconds."""
        rc = self.c.foreground()
        self.c.kill_one_engine()
        if SYSTEM.one_ends_all:
            self.c.said(r"(?i)all engines of a set have ended.*cause=.*SIGKILL", 5)
            wait_until(lambda: not rc.ids, 20, "the loss of all engines")
        else:
            self.c.said(f"an engine has ended.*({SYSTEM.killed}|SIGKILL)", 5)
            wait_until(lambda: len(rc.ids) == 3, 20, "the loss of an engine")
            self.works(rc)
        self.c.stop()

    def test_start_killed(self):
        """What starts a cluster is killed with -9; another process takes all of it up."""
        rc = self.c.foreground()
        self.c.kill_starter()
        self.works(rc)
        one = self.c.listed()
        self.assertEqual((one["running"], one["engines_running"]), (True, 4), one)
        self.c.stop()


if SYSTEM.batch:

    class Jobs(Case):
        deadline = 300

        def setUp(self):
            self.c = SystemCluster(4)
            self.addCleanup(self.c.close)

        def test_cancelled_meanwhile(self):
            """Jobs cancelled while nobody watched are dropped, the others kept."""
            rc = self.c.foreground()
            self.c.kill_starter()
            self.c.cancel_engines()
            wait_until(lambda: not rc.ids, 30, "the loss of the engines")
            wait_until(lambda: self.c.listed()["engines_running"] == 0, 20, lambda: f"the end of the engines in {self.c.listed()}")
            self.assertTrue(self.c.listed()["running"])
            self.c.stop()

        def test_cancelled_from_outside(self):
            rc = self.c.foreground()
            self.c.cancel_engines()
            self.c.said(f"(?i){SYSTEM.late or '$^'}|cancel|removed|condor_rm|TERM_OWNER|deleted|SIGTERM|SIGKILL", 20)
            wait_until(lambda: not rc.ids, 30, "the loss of the engines")
            self.c.stop()
