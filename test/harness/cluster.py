"""Start, use and stop a cluster, ours or upstream's, in a sandbox of its own.

The environment says which:

    IPCORE_TEST_STARTER  ipcore (default) or ipcluster: upstream's own command,
                         to see that a test asks nothing which upstream fails
    IPCORE_TEST_ENGINES  native (default) or classic: python -m ipyparallel.engine
    IPCORE_TEST_BIN      folder of our binaries (default: bin of this repository)

The Python that runs the tests is also the one that engines run.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import uuid

from . import processes

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("IPCORE_TEST_BIN") or os.path.join(ROOT, "bin")
IPCORE = os.path.join(BIN, "ipcore")
STARTER = os.environ.get("IPCORE_TEST_STARTER") or "ipcore"
ENGINES = os.environ.get("IPCORE_TEST_ENGINES") or "native"


class Sandbox:
    """Folders and an environment that nothing outside a test shares.

    Whatever a process of ours writes goes into root: HOME, temporary files and
    the runtime folder lie there, so close can say what was left behind.
    """

    def __init__(self):
        self.root = tempfile.mkdtemp(prefix="ipct-")  # short: sockets lie below it
        self.tag = uuid.uuid4().hex
        self.profile = os.path.join(self.root, "profile")
        self.env = {
            k: v
            for k, v in os.environ.items()
            if not k.startswith(("IPCORE_", "IPP_", "PLUGIN_", "IPYTHON", "PYTHON", "VIRTUAL_ENV", "CONDA_", "JUPYTER_"))
        }
        for name, key in (("home", "HOME"), ("tmp", "TMPDIR"), ("run", "XDG_RUNTIME_DIR")):
            folder = os.path.join(self.root, name)
            os.mkdir(folder, 0o700)
            self.env[key] = folder
        self.env["IPYTHONDIR"] = os.path.join(self.root, "ipython")
        self.env["IPCORE_PYTHON"] = sys.executable
        self.env["IPP_NONINTERACTIVE"] = "1"
        self.env["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
        self.env["TEST_SANDBOX"] = self.tag

    def run(self, *argv, check=True, timeout=60, **kw):
        """Run a command to its end; its output is text."""
        done = subprocess.run(
            argv, env=self.env, cwd=self.root, timeout=timeout, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kw,
        )
        if check and done.returncode != 0:
            raise AssertionError(
                f"{' '.join(argv)}: exit code {done.returncode}\n--- stdout\n{done.stdout}--- stderr\n{done.stderr}{self.logs()}"
            )
        return done

    def spawn(self, *argv, **kw):
        """Start a command in a session of its own, its output as text pipes or as told."""
        kw.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(argv, env=self.env, cwd=self.root, text=True, start_new_session=True, **kw)

    def processes(self):
        """The pids of everything that was started here and still lives."""
        return processes.tagged(self.tag)

    def wait_no_processes(self, seconds=5):
        """Wait until nothing that was started here lives."""
        processes.wait_until(
            lambda: not self.processes(), seconds,
            lambda: "end of these processes:\n" + processes.describe(self.processes()),
        )

    def leftover_files(self):
        """Files that a stopped cluster must not leave: sockets, temporary files,
        connection files and cluster files, as paths below root."""
        left = []
        for folder in ("tmp", "run", "home"):
            for where, folders, files in os.walk(os.path.join(self.root, folder)):
                left += [os.path.join(where, f) for f in files]
                if folder == "run":
                    left += [os.path.join(where, f) for f in folders]
        security = os.path.join(self.profile, "security")
        if os.path.isdir(security):
            left += [os.path.join(security, f) for f in os.listdir(security)]
        return sorted(os.path.relpath(p, self.root) for p in left)

    def logs(self, lines=30):
        """The end of every log file of the profile, for messages."""
        text = ""
        folder = os.path.join(self.profile, "log")
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
            with open(os.path.join(folder, name), errors="replace") as f:
                text += f"--- {name}\n" + "".join(f.readlines()[-lines:])
        return text

    def close(self):
        """End what still runs and remove the folders."""
        processes.kill(self.processes())
        shutil.rmtree(self.root, ignore_errors=True)


class Cluster(Sandbox):
    """A controller and n engines on this machine, started by the command under test."""

    def __init__(self, n=4, starter=None, engines=None):
        super().__init__()
        self.n = n
        self.starter = starter or STARTER
        self.engines = "classic" if self.starter == "ipcluster" else engines or ENGINES
        self.clients = []

    @property
    def native(self):
        """Whether the engines are ours."""
        return self.engines == "native"

    @property
    def connection_file(self):
        return os.path.join(self.profile, "security", "ipcontroller-client.json")

    @property
    def cluster_file(self):
        return os.path.join(self.profile, "security", "cluster-.json")

    def command(self, *extra):
        """The start command, less --daemonize."""
        if self.starter == "ipcluster":
            return [sys.executable, "-m", "ipyparallel.cluster", "start", "-n", str(self.n), f"--profile-dir={self.profile}", *extra]
        if not self.native:
            extra = ("--engine-cmd", f"{sys.executable} -m ipyparallel.engine", *extra)
        return [IPCORE, "start", "-n", str(self.n), f"--profile-dir={self.profile}", *extra]

    def start(self, *extra):
        """Start detached and return when all engines have registered."""
        if self.starter == "ipcluster":
            # Upstream wants the profile made beforehand and returns before the engines are there.
            os.makedirs(self.profile, exist_ok=True)
            self.run(*self.command("--daemonize=True", *extra))
            processes.wait_until(self.connectable, 30, "connection file")
            rc = self.client(timeout=60)
            processes.wait_until(lambda: len(rc.ids) == self.n, 60, "registration of the engines" + self.logs())
            return self
        self.run(*self.command("--daemonize", *extra))
        return self

    def stop(self):
        """Stop with the command under test and see that no process is left."""
        self.close_clients()
        if self.starter == "ipcluster":
            self.run(sys.executable, "-m", "ipyparallel.cluster", "stop", f"--profile-dir={self.profile}", check=False)
            self.wait_no_processes(30)
        else:
            self.run(IPCORE, "stop", f"--profile-dir={self.profile}")
            self.wait_no_processes()

    def client(self, **kw):
        """A new client of this cluster; close_clients closes it."""
        import ipyparallel as ipp

        kw.setdefault("timeout", 20)
        rc = ipp.Client(self.connection_file, **kw)
        self.clients.append(rc)
        return rc

    def connectable(self):
        """Whether the client's connection file is there and whole (upstream writes it in place)."""
        try:
            return bool(self.connection())
        except (FileNotFoundError, json.JSONDecodeError):
            return False

    def close_clients(self):
        for rc in self.clients:
            rc.close()
        self.clients.clear()

    def connection(self):
        """The content of the client's connection file."""
        with open(self.connection_file) as f:
            return json.load(f)

    def engine_connection(self):
        """The content of the engines' connection file."""
        with open(os.path.join(self.profile, "security", "ipcontroller-engine.json")) as f:
            return json.load(f)

    def engine_pid(self, rc, engine):
        """The pid of the process that is the engine.

        User code runs in it, or, in a native engine, in its child.
        """
        pid = rc[engine].apply_sync(os.getpid)
        return processes.parent(pid) if self.native else pid

    def close(self):
        self.close_clients()
        super().close()
