"""Every fault that the emulators inject: what the user is told, the exit code, and that nothing is left."""

import os
import time

from harness.case import Case
from harness.cluster import IPCORE
from harness.processes import wait_until
from harness.systems import SYSTEM, SystemCluster

__name__ = "__main__"  # functions sent from here are a user's own, not a module's


class Fault(Case):
    """Engines on the emulator; the controller runs here, out of the faults' reach."""

    deadline = 240

    def setUp(self):
        self.c = SystemCluster(3, controller="local")
        self.addCleanup(self.c.close)

    def start(self, fault, *extra, timeout=120):
        """Start with a fault in every command of the start; the result of the process."""
        SYSTEM.fault(fault)
        try:
            return self.c.run(*self.c.command("--daemonize", *extra), check=False, timeout=timeout)
        finally:
            SYSTEM.fault()

    def refused(self, fault, words, *extra, **kw):
        """The start fails, says words, and leaves neither process nor job."""
        done = self.start(fault, *extra, **kw)
        said = done.stdout + done.stderr
        self.assertEqual(done.returncode, 1, said)
        self.assertRegex(said, r"(?m)^error: ")
        self.assertRegex(said, words)
        try:
            self.c.wait_nothing_left()
        except AssertionError as e:
            self.fail(f"{e}\nalthough the start said\n{said}")

    def waits(self, fault, words):
        """Engines that wait in the queue are left there when the time is over; why is told, and a stop ends them."""
        done = self.start(fault, "--timeout=8")
        said = done.stdout + done.stderr
        self.assertEqual(done.returncode, 0, said)
        self.assertRegex(said, r"(?m)^0 of 3 engines have registered; .*" + words)
        self.assertRegex(said, r"(?m)^Leaving cluster running")
        self.assertEqual(self.c.listed()["engines_running"], 0)
        self.c.stop()

    def accepted(self, fault, *extra):
        """The start is complete in spite of the fault."""
        done = self.start(fault, *extra)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(self.c.client().ids, [0, 1, 2])
        self.c.stop()

    def stop(self):
        self.c.close_clients()
        return self.c.run(IPCORE, "stop", f"--profile-dir={self.c.profile}", check=False, timeout=150)


if SYSTEM.emulator:

    class Submit(Fault):
        def test_reject(self):
            self.refused("submit=reject", r"(?i)not submitted|refused|rejected|policy|not allowed|Unauthorized|violates|exceeds")

        def test_down(self):
            self.refused("submit=down", r"(?i)respond|connect|address|reach")

        def test_lost(self):
            self.refused("submit=lost", r"(?i)does not know|no longer knows", "--timeout=40")

        def test_accepted_but_failed(self):
            self.refused("submit=timeout", r"(?i)time|commit|connect")

        def test_no_id(self):
            self.refused("submit=noid", r"(?i)no job id")

        def test_banner(self):
            self.accepted("submit=banner")

        def test_slow(self):
            self.accepted("submit=slow:3")

    class Run(Fault):
        def test_pending_for_ever(self):
            self.waits("run=pend", r"3 wait: job .*queued")

        def test_held(self):
            self.waits("run=hold", r"3 wait: job .*" + ("(?i:held|suspend|hold)" if SYSTEM.tells_holds else "queued"))

        def test_fails_at_once(self):
            self.refused("run=fail:7", r"\b7\b", "--timeout=30")

        def test_only_some(self):
            done = self.start("run=only:2", "--timeout=10")
            said = done.stdout + done.stderr
            self.assertEqual(done.returncode, 0, said)
            self.assertRegex(said, "2 (engines |of 3)")
            self.assertEqual(self.c.client().ids, [0, 1])
            self.c.stop()

        def test_slow(self):
            self.accepted("run=slow:4")

        def test_node_dies(self):
            SYSTEM.fault("run=die:6@2")
            rc = self.c.foreground()
            SYSTEM.fault()
            self.c.said(r"(?i)an engine has ended", 30)
            wait_until(lambda: len(rc.ids) == 2, 20, "the loss of an engine")
            self.c.stop()

    class Query(Fault):
        def outage(self, fault, seconds=12):
            """While the system can't be asked nothing is concluded; afterwards the end of an engine is told."""
            rc = self.c.foreground()
            SYSTEM.fault(fault)
            view = rc.load_balanced_view()
            end = seconds
            while end > 0:  # work continues meanwhile
                self.assertEqual(view.map_sync(abs, range(-20, 0)), list(range(20, 0, -1)))
                rc[:].apply_sync(time.sleep, 1)
                end -= 1
            self.assertNotRegex(self.c.text(), "(?i)has ended|have ended")
            SYSTEM.fault()
            self.c.kill_one_engine()
            self.c.said(r"(?i)an engine has ended", 45)  # it asks less often while the system is down
            self.c.stop()

        def test_down(self):
            self.outage("query=down")

        def test_hangs(self):
            self.outage("query=hang")

        def test_garbage(self):
            self.outage("query=garbage")

        def test_fails_now_and_then(self):
            self.outage("query=flaky:3")

        def test_slow(self):
            self.outage("query=slow:2", 6)

        def test_down_when_taken_up(self):
            """A system that can't be asked does not make another process forget its jobs."""
            self.c.foreground()
            self.c.kill_starter()
            SYSTEM.fault("query=down")
            self.c.run(IPCORE, "stop", f"--profile-dir={self.c.profile}", check=False, timeout=150)
            SYSTEM.fault()
            if os.path.exists(self.c.cluster_file):
                self.c.run(IPCORE, "stop", f"--profile-dir={self.c.profile}", timeout=150)
            self.c.wait_nothing_left()

    class Cancel(Fault):
        def test_flaky(self):
            self.c.start()
            SYSTEM.fault("cancel=flaky:1")
            done = self.stop()
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.c.wait_nothing_left()

        def left(self, fault, words=""):
            """A stop that can't end a job says so and fails, and works when the fault is over."""
            self.c.start()
            SYSTEM.fault(fault)
            done = self.stop()
            said = done.stdout + done.stderr
            self.assertNotEqual(done.returncode, 0, said)
            self.assertRegex(said, r"(?ms)^error: .*\bjob \d.*" + words)
            self.assertRegex(said, r"(?m)^hint: .*ipcore stop")
            SYSTEM.fault()
            done = self.stop()
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.c.wait_nothing_left()

        def test_down(self):
            self.left("cancel=down", "(?i:respond|connect|address|reach)")

        def test_ignored(self):
            self.left("cancel=ignored")

    class Output(Fault):
        def test_lost(self):
            self.accepted("output=lost")

        def test_late(self):
            self.accepted("output=late:3")
