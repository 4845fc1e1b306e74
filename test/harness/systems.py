"""The systems that launchers are tried on.

A bed (test/testbed) has made the system ready and set its environment;
IPCORE_TEST_SYSTEM names the row of the table below.
"""

import os
import re
import shlex
import signal
import subprocess

from . import processes
from .cluster import IPCORE, Cluster

NAME = os.environ.get("IPCORE_TEST_SYSTEM") or "local"


class System:
    """One system: its launcher, what to say to it, and how to see its jobs."""

    def __init__(self, launcher, *flags, jobs=None, cancel=None, one_ends_all=False):
        """
        launcher      name of the plugin
        flags         of ipcore start
        jobs          command that prints a line for each job that has not ended
        cancel        command that cancels a job, whose id is the first word of its line
        one_ends_all  whether the system ends all engines when one is killed
        """
        self.launcher = launcher
        self.flags = flags
        self._jobs = jobs
        self._cancel = cancel
        self.one_ends_all = one_ends_all

    def jobs(self, env=None):
        """The lines of the jobs that have not ended."""
        if not self._jobs:
            return []
        done = subprocess.run(
            self._jobs, shell=True, env=env, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30
        )
        return [line.strip() for line in done.stdout.splitlines() if line.strip()]

    def cancel(self, job, env=None, check=True):
        """Cancel a job, given by its line, as somebody would who knows nothing of us."""
        subprocess.run(
            shlex.split(self._cancel) + [job.split()[0]], env=env, check=check, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=30
        )

    @property
    def batch(self):
        """Whether there are jobs."""
        return self._jobs is not None


SYSTEMS = {
    "local": System("local"),
}

SYSTEM = SYSTEMS[NAME]


class SystemCluster(Cluster):
    """A cluster whose controller and engines are on the system under test."""

    def command(self, *extra):
        system = (f"--engines={SYSTEM.launcher}", f"--controller={SYSTEM.launcher}", "--timeout=90", *SYSTEM.flags)
        return super().command(*system, *extra)

    def processes(self):
        """Everything of this cluster: a job may have neither our environment nor our session, but our folder."""
        return sorted({*super().processes(), *processes.tagged(self.root + "/")})

    def engine_processes(self):
        """The pids of the native engines, on every host of this machine."""
        return [p for p in self.processes() if re.search(r"(^|/)ipcore\S* engine( |$)", processes.command(p))]

    def kill_one_engine(self, sig=signal.SIGKILL):
        """Kill an engine as an out-of-memory killer would."""
        pid = self.engine_processes()[0]
        os.kill(pid, sig)
        return pid

    def jobs(self):
        return SYSTEM.jobs(self.env)

    def stop(self):
        """Stop, and see that neither a process nor a job is left."""
        self.close_clients()
        self.run(IPCORE, "stop", f"--profile-dir={self.profile}")
        self.wait_nothing_left()

    def wait_nothing_left(self, seconds=5):
        self.wait_no_processes(seconds)
        processes.wait_until(lambda: not self.jobs(), seconds, lambda: "end of these jobs:\n" + "\n".join(self.jobs()))

    def close(self):
        self.close_clients()
        if not self.stopped():
            self.run(IPCORE, "stop", f"--profile-dir={self.profile}", check=False)
        for job in self.jobs():
            SYSTEM.cancel(job, self.env, check=False)
        super().close()

    def stopped(self):
        return not os.path.exists(self.cluster_file)
