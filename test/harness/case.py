"""The base class of all end-to-end tests: each has a deadline."""

import os
import re
import signal
import sys
import unittest

from .cluster import Cluster


def plain(text):
    """text without the escape sequences that colour it."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


class Deadline(Exception):
    """A test took longer than it may."""


class Case(unittest.TestCase):
    """A test that fails when it takes longer than deadline seconds."""

    deadline = 60
    maxDiff = 4000

    def __init_subclass__(cls, **kw):
        # The suites call themselves __main__ (so that the functions they send find
        # their names in the engine's user namespace, as in a notebook); a test is still named after its file.
        where = sys._getframe(1).f_globals["__file__"]
        folder, name = os.path.split(os.path.splitext(where)[0])
        cls.__module__ = f"{os.path.basename(folder)}.{name}"
        super().__init_subclass__(**kw)

    def run(self, result=None):
        def late(signum, frame):
            raise Deadline(f"{self.id()} took longer than {self.deadline} s")

        before = signal.signal(signal.SIGALRM, late)
        signal.setitimer(signal.ITIMER_REAL, self.deadline, 10)
        try:
            return super().run(result)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    def cluster(self, n=4, start=True, **kw):
        """A cluster of this test's own, removed at its end."""
        c = Cluster(n, **kw)
        self.addCleanup(c.close)
        if start:
            c.start()
        return c

    def assert_nothing_left(self, cluster, seconds=5):
        """No process, socket, temporary file, connection or cluster file remains."""
        cluster.wait_no_processes(seconds)
        self.assertEqual(cluster.leftover_files(), [])


class SharedCluster(Case):
    """A class of tests that use one cluster of four engines, one client each."""

    n = 4

    @classmethod
    def setUpClass(cls):
        cls.shared = Cluster(cls.n)
        try:
            cls.shared.start()
        except BaseException:
            cls.shared.close()
            raise

    @classmethod
    def tearDownClass(cls):
        try:
            cls.shared.stop()
        finally:
            cls.shared.close()

    def setUp(self):
        self.rc = self.shared.client()
        self.addCleanup(self.shared.close_clients)

    def path(self, name):
        """A path that is this test's alone and that engines can reach too."""
        return os.path.join(self.shared.root, f"{self.id().rpartition('.')[2]}-{name}")
