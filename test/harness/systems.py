"""The systems that launchers are tried on.

A bed (test/testbed) has made the system ready and set its environment;
IPCORE_TEST_SYSTEM names the row of the table below.
"""

import hashlib
import json
import os
import re
import shlex
import signal
import subprocess

from . import processes
from .cluster import IPCORE, ROOT, Cluster

NAME = os.environ.get("IPCORE_TEST_SYSTEM") or "local"


class System:
    """One system: its launcher, what to say to it, and how to see its jobs."""

    def __init__(self, launcher, settings=None, jobs=None, cancel=None, emulator=None, one_ends_all=False, shares_files=True, late=None,
                 killed="SIGKILL", tells_holds=True):
        """
        launcher      name of the plugin
        settings      options of launchers, as ipcluster_config.json has them
        jobs          command that prints a line for each job that has not ended
        cancel        command that cancels a job, whose id is the first word of its line
        emulator      its name, when it is one that injects faults
        one_ends_all  whether the system ends all engines when one is killed
        late          what is said of how a job ended where the system tells that later
        killed        what is said of an engine that was killed, where the system tells it at once
        tells_holds   whether it says that a job is held
        shares_files  whether what engines write is seen here
        """
        self.launcher = launcher
        self.settings = settings or {}
        self._jobs = jobs
        self._cancel = cancel
        self.emulator = emulator
        self.one_ends_all = one_ends_all
        self.shares_files = shares_files
        self.late = late
        self.killed = late or killed
        self.tells_holds = tells_holds

    def fault(self, spec=""):
        """Inject a fault into the emulator for everybody, or none."""
        subprocess.run(
            [os.path.join(ROOT, "test", "testbed", "fake.sh"), "fault", self.emulator, spec], check=True, stdout=subprocess.DEVNULL
        )

    def reset(self):
        """End every job of the emulator and forget all, whatever a test has left of it."""
        for verb in "down", "up":
            subprocess.run(
                [os.path.join(ROOT, "test", "testbed", "fake.sh"), verb, self.emulator], check=True, stdout=subprocess.DEVNULL
            )

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
        done = subprocess.run(
            shlex.split(self._cancel) + [job.split()[0]], env=env, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{self._cancel} {job}: exit code {done.returncode}\n{done.stdout}")

    @property
    def batch(self):
        """Whether there are jobs."""
        return self._jobs is not None


_CONDOR = dict(jobs="condor_q -af ClusterId ProcId JobStatus", cancel="condor_rm")
_WINHPC = dict(jobs="job list /scheduler:head1 | grep 'Running\\|Queued'", cancel="job cancel /scheduler:head1")

_SSH = {"ssh_args": ["-F", os.environ.get("TB_SSH_CONFIG", "")], "scp_args": ["-F", os.environ.get("TB_SSH_CONFIG", "")]}

SYSTEMS = {
    "local": System("local"),
    "openmpi": System("mpi", one_ends_all=True),
    "mpich": System("mpi", one_ends_all=True),
    "ssh": System("ssh", {
        "SSHLauncher": _SSH,
        "SSHEngineSetLauncher": {"engines": {"h1": 2, "h2": {"n": 2}}},
        "SSHControllerLauncher": {"hostname": "h3"},
        "SSHEngineLauncher": {"hostname": "h2"},
    }),
    # Nothing is shared: the program, its Python's worker and the connection files are carried over, and all connections.
    "ssh-isolated": System("ssh", {
        "SSHLauncher": {**_SSH, "copy_binary": True, "tunnel": True, "remote_profile_dir": "ipcore-test/profile"},
        "SSHEngineSetLauncher": {"engines": {"iso1": 2, "iso2": 2}},
        "SSHControllerLauncher": {"hostname": "iso1"},
    }, shares_files=False),
    "slurm": System("slurm", jobs="squeue --noheader --format=%F", cancel="scancel"),
    "torque-on-slurm": System("pbs", jobs="squeue --noheader --format=%F", cancel="scancel"),
    "sge": System("sge", jobs="qstat -u '*' | tail -n +3", cancel="qdel", late="qacct -j .* tells how"),
    "htcondor": System("htcondor", **_CONDOR),
    "pbs": System("pbs", jobs="qselect", cancel="qdel", emulator="pbs"),
    "torque": System("pbs", jobs="qselect", cancel="qdel", emulator="pbs"),
    "lsf": System("lsf", jobs="bjobs -w -noheader", cancel="bkill", emulator="lsf"),
    "htcondor-emulator": System("htcondor", emulator="htcondor", **_CONDOR),
    "winhpc": System("winhpc", emulator="winhpc", killed="exit code 1", tells_holds=False, **_WINHPC),
}

SYSTEM = SYSTEMS[NAME]


class SystemCluster(Cluster):
    """A cluster whose engines, and controller unless told otherwise, are on the system under test."""

    def __init__(self, n=4, controller=None):
        super().__init__(n)
        self.controller = controller or SYSTEM.launcher
        self.front = None  # the process of a foreground start
        self.console = os.path.join(self.root, "console")

    def command(self, *extra):
        os.makedirs(self.profile, exist_ok=True)
        with open(os.path.join(self.profile, "ipcluster_config.json"), "w") as f:
            json.dump(SYSTEM.settings, f)
        return super().command(f"--engines={SYSTEM.launcher}", f"--controller={self.controller}", "--timeout=90", *extra)

    def foreground(self, *extra):
        """Start in the foreground, what it prints in a file, and return when all engines have registered."""
        with open(self.console, "w") as f:
            self.front = self.spawn(*self.command(*extra), stdout=f, stderr=subprocess.STDOUT)
        self.said(r"(?i)client\(|exit code|error:", 90)
        rc = self.client()
        processes.wait_until(lambda: len(rc.ids) == self.n or self.front.poll(), 60, lambda: "the engines\n" + self.text())
        return rc

    def text(self):
        """What the foreground start has printed."""
        with open(self.console, errors="replace") as f:
            return f.read()

    def said(self, pattern, seconds):
        """Wait until the foreground start has printed what pattern finds."""
        processes.wait_until(
            lambda: re.search(pattern, self.text()), seconds, lambda: f"{pattern!r} in what was printed:\n{self.text()}"
        )

    def kill_starter(self):
        """Kill the foreground start as a crash would, with its plugins."""
        self.front.kill()
        self.front.wait()

    def listed(self):
        """What ipcore list says of this cluster; None when it knows of none."""
        all_ = json.loads(self.run(IPCORE, "list", "--json", f"--profile-dir={self.profile}").stdout)
        return all_[0] if all_ else None

    def processes(self):
        """Everything of this cluster: a job may have neither our environment nor our session, but our folder or the cluster's tag."""
        tag = "ipcore-" + hashlib.sha256(f"{self.profile}\0".encode()).hexdigest()[:8]
        return sorted({*super().processes(), *processes.tagged(self.root + "/"), *processes.tagged(tag)})

    def engine_processes(self):
        """The pids of the native engines, on every host of this machine."""
        return [p for p in self.processes() if re.match(r"\S*ipcore\S* engine( |$)", processes.command(p))]

    def kill_one_engine(self, sig=signal.SIGKILL):
        """Kill an engine as the kernel does that is out of memory."""
        pid = self.engine_processes()[0]
        os.kill(pid, sig)
        return pid

    def jobs(self):
        return SYSTEM.jobs(self.env)

    def cancel_engines(self):
        """Cancel the job of the engines, which came after the controller's."""
        job = max(self.jobs(), key=lambda line: int(re.match(r"\d+", line)[0]))
        SYSTEM.cancel(job, self.env)

    def stop(self):
        """Stop, and see that neither a process nor a job is left."""
        self.close_clients()
        self.run(IPCORE, "stop", f"--profile-dir={self.profile}")
        self.wait_nothing_left()

    def wait_nothing_left(self, seconds=5):
        self.wait_no_processes(seconds)
        processes.wait_until(lambda: not self.jobs(), seconds, lambda: "end of these jobs:\n" + "\n".join(self.jobs()))

    def close(self):
        if SYSTEM.emulator:
            SYSTEM.fault()
        self.close_clients()
        if os.path.exists(self.cluster_file):
            self.run(IPCORE, "stop", f"--profile-dir={self.profile}", check=False)
        for job in self.jobs():
            SYSTEM.cancel(job, self.env, check=False)
        if SYSTEM.emulator and self.jobs():
            SYSTEM.reset()
        super().close()
        if self.front:
            self.front.wait()
