"""A whole launcher in Python: it starts engines as processes of this (Linux) machine.

build.sh makes the executable ipcore-launcher-mine-python that runs this file.
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

INFO = {"name": "mine-python", "version": "1.0.0", "kinds": ["engine"], "protocol": [1],
        "capabilities": ["wait", "status", "signal", "output"]}

if sys.argv[1:] == ["describe"]:  # before gRPC is loaded, which takes a while
    print(json.dumps(INFO))
    sys.exit()
if os.environ.get("IPCORE_PLUGIN") != "launcher":
    sys.exit("ipcore-launcher-mine-python is started by ipcore: ipcore --engines=mine-python")
if "1" not in os.environ.get("PLUGIN_PROTOCOL_VERSIONS", "").split(","):
    sys.exit("ipcore-launcher-mine-python speaks version 1 of the contract, this ipcore does not")

from concurrent import futures  # noqa: E402

import grpc  # noqa: E402

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "generated"))
import controller_pb2  # noqa: E402
import controller_pb2_grpc  # noqa: E402
import health_pb2  # noqa: E402
import health_pb2_grpc  # noqa: E402
import launcher_pb2 as pb  # noqa: E402
import launcher_pb2_grpc  # noqa: E402
import stdio_pb2_grpc  # noqa: E402

Code = grpc.StatusCode


def log(text):
    """A line for ipcore's log. Nobody reads it once ipcore is gone."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        pass


class Refused(Exception):
    """An answer that is an error: a code and a text."""


def identity(pid):
    """What tells a process from a later one with its pid, and its session; None if it is not alive."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            fields = f.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else (int(fields[19]), int(fields[3]))


def boot():
    with open("/proc/sys/kernel/random/boot_id") as f:
        return f.read().strip()


class Process:
    """A process in a session of its own; child is None for one that another plugin started."""

    def __init__(self, pid, start, child=None):
        self.pid, self.start, self.child, self.code = pid, start, child, -1

    def alive(self):
        if self.child is not None and self.child.poll() is not None:
            self.code = self.child.returncode
            return False
        now = identity(self.pid)
        return now is not None and now[0] == self.start

    def session(self):
        """All that is alive of the session that the process leads, or led."""
        pids = (int(p) for p in os.listdir("/proc") if p.isdigit())
        if not self.alive() and identity(self.pid) is not None:
            return []  # the pid is another's
        return [p for p in pids if (i := identity(p)) and i[1] == self.pid]

    def kill(self, sig):
        for pid in self.session():
            try:
                os.kill(pid, sig)
            except ProcessLookupError:
                pass


class Workload:
    """One id: its processes and what became of them."""

    def __init__(self, id):
        self.id, self.processes, self.output = id, [], ""
        self.begun = self.stopped = self.stopping = self.detached = self.known = False
        self.events, self.news = [], threading.Condition()
        self.stop_lock = threading.Lock()

    def start(self, r):
        if not r.command or not r.command[0]:
            raise Refused(Code.INVALID_ARGUMENT, "the command is empty")
        n = r.n if r.HasField("n") else os.cpu_count()
        if not 1 <= n <= 100000:
            raise Refused(Code.INVALID_ARGUMENT, f"n is {n}")
        if any(not name or "=" in name or "\0" in name + value for name, value in r.environment.items()):
            raise Refused(Code.INVALID_ARGUMENT, "a variable that no environment can hold")
        logs = r.log_dir or os.path.join(r.profile_dir, "log")
        os.makedirs(logs, exist_ok=True)
        self.output = os.path.join(logs, f"mine-{r.cluster_id}-{self.id}.log")
        try:
            fd = os.open(self.output, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
            try:
                for _ in range(n):
                    child = subprocess.Popen(list(r.command), env={**os.environ, **r.environment}, cwd=r.work_dir or None,
                                             stdin=subprocess.DEVNULL, stdout=fd, stderr=fd, start_new_session=True)
                    began = identity(child.pid)
                    self.processes.append(Process(child.pid, began[0] if began else 0, child))
            finally:
                os.close(fd)
        except (OSError, ValueError) as e:
            self.end()
            raise Refused(Code.INVALID_ARGUMENT, f"start {r.command[0]}: {e}") from e

    def restore(self, state):
        try:
            if state["version"] != 1:
                raise Refused(Code.INVALID_ARGUMENT, f"the state has version {state['version']}, this launcher reads 1")
            found = [Process(int(p["pid"]), int(p["start"])) for p in state["processes"]]
            self.output = str(state["output"])
            here = state["boot_id"] == boot()
        except (KeyError, TypeError, ValueError) as e:
            raise Refused(Code.INVALID_ARGUMENT, f"the state can't be read: {e!r}") from e
        self.processes = [p for p in found if here and p.alive()]
        if not self.processes:
            raise Refused(Code.NOT_FOUND, "none of its processes is left")

    def state(self):
        return json.dumps({"version": 1, "boot_id": boot(), "output": self.output,
                           "processes": [{"pid": p.pid, "start": p.start} for p in self.processes]}).encode()

    def tell(self, kind, **more):
        with self.news:
            if not self.stopped:
                self.stopped = kind == pb.EVENT_KIND_STOPPED
                self.events.append(pb.Event(seq=len(self.events) + 1, id=self.id, kind=kind, **more))
                self.news.notify_all()

    def watch(self):
        """Tells of each process that ends, and of the end; runs in a thread of its own."""
        left, code, sig = dict(enumerate(self.processes)), 0, ""
        while left and not self.detached:
            for i, p in list(left.items()):
                if not p.alive():
                    del left[i]
                    one, name = (p.code, "") if p.code >= 0 else (-1, signal.Signals(-p.code).name if p.code < -1 or p.child else "")
                    if not code:
                        code, sig = one, name
                    if left and not self.stopping:
                        self.tell(pb.EVENT_KIND_CHANGED, index=i, exit_code=one, signal=name)
            time.sleep(0.1)
        if not self.detached:
            self.tell(pb.EVENT_KIND_STOPPED, exit_code=code, signal=sig, text=self.tail())

    def tail(self):
        try:
            with open(self.output, "rb") as f:
                f.seek(max(0, os.path.getsize(self.output) - 5000))
                return f.read().decode("utf-8", "replace")
        except OSError:
            return ""

    def end(self):
        """Ends everything; returns when nothing is left."""
        with self.stop_lock:
            self.stopping = True
            for sig, seconds in ((signal.SIGTERM, 5), (signal.SIGKILL, 10)):
                for p in self.processes:
                    p.kill(sig)
                limit = time.monotonic() + seconds
                while any(p.session() for p in self.processes):
                    if time.monotonic() > limit:
                        break
                    time.sleep(0.02)
                else:
                    break
            with self.news:
                if self.begun:
                    self.news.wait_for(lambda: self.stopped, 2)


class Launcher(launcher_pb2_grpc.LauncherServicer):
    """The contract's calls, and the table of workloads."""

    def __init__(self):
        self.table, self.lock = {}, threading.Lock()

    def claim(self, id, kind):
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", id):
            raise Refused(Code.INVALID_ARGUMENT, f"id {id[:50]!r}")
        if kind not in INFO["kinds"]:
            raise Refused(Code.INVALID_ARGUMENT, f"kind {kind!r} is not started by this launcher")
        with self.lock:
            if id in self.table:
                raise Refused(Code.FAILED_PRECONDITION, f"{id} was started already")
            self.table[id] = w = Workload(id)
            return w

    def open(self, w, begin):
        try:
            begin()
        except BaseException:
            with self.lock:
                self.table.pop(w.id, None)
            raise
        w.begun = True
        w.tell(pb.EVENT_KIND_RUNNING)
        threading.Thread(target=w.watch, daemon=True).start()

    def find(self, id):
        with self.lock:
            w = self.table.get(id)
        if w is None:
            raise Refused(Code.NOT_FOUND, f"nothing is known of {id[:50]!r}")
        if not w.begun:
            raise Refused(Code.FAILED_PRECONDITION, f"{id} is still being started")
        w.known = True  # the host has its state
        return w

    def Start(self, r, context):
        if r.options.strip():
            try:
                given = json.loads(r.options)
            except (ValueError, RecursionError):
                given = None
            if given != {}:
                raise Refused(Code.INVALID_ARGUMENT, "the launcher has no options")
        w = self.claim(r.id, r.kind)
        self.open(w, lambda: w.start(r))
        return pb.StartResponse(state=w.state())

    def FromDict(self, r, context):
        with self.lock:
            held = self.table.get(r.id)
        if held is not None:
            held = self.find(r.id)
            if held.stopped:
                raise Refused(Code.NOT_FOUND, f"{r.id} has ended")
            return pb.FromDictResponse(state=held.state())
        try:
            state = json.loads(r.state)
        except (ValueError, RecursionError) as e:
            raise Refused(Code.INVALID_ARGUMENT, f"the state is not valid JSON: {e}") from e
        if not isinstance(state, dict):
            raise Refused(Code.INVALID_ARGUMENT, "the state is not a JSON object")
        w = self.claim(r.id, r.kind)
        w.known = True
        self.open(w, lambda: w.restore(state))
        return pb.FromDictResponse(state=w.state())

    def Stop(self, r, context):
        self.find(r.id).end()
        return pb.StopResponse()

    def ToDict(self, r, context):
        return pb.ToDictResponse(state=self.find(r.id).state())

    def Detach(self, r, context):
        with self.lock:
            w = self.table.pop(r.id, None)
        if w is not None:
            with w.news:
                w.detached = True
                w.news.notify_all()
        return pb.DetachResponse()

    def Events(self, r, context):
        w, after = self.find(r.id), r.after
        while context.is_active():
            with w.news:
                w.news.wait_for(lambda: len(w.events) > after or w.stopped or w.detached, 0.5)
                events, stopped, detached = w.events[after:], w.stopped, w.detached
            yield from events
            after += len(events)
            if stopped:
                return
            if detached:
                raise Refused(Code.NOT_FOUND, f"{r.id} was let go")

    def Status(self, r, context):
        n = sum(p.alive() for p in self.find(r.id).processes)
        return pb.StatusResponse(state="running" if n else "stopped", running=n)

    def Signal(self, r, context):
        w, name = self.find(r.id), r.signal.strip().upper()
        try:
            sig = signal.Signals(int(name)) if name.isdigit() else signal.Signals["SIG" + name.removeprefix("SIG")]
        except (ValueError, KeyError) as e:
            raise Refused(Code.INVALID_ARGUMENT, f"signal {r.signal!r}") from e
        if not any(p.alive() for p in w.processes):
            raise Refused(Code.FAILED_PRECONDITION, f"{r.id} has ended")
        for p in w.processes:
            p.kill(sig)
        return pb.SignalResponse()

    def Output(self, r, context):
        w = self.find(r.id)
        text = w.tail()
        if r.remove and os.path.exists(w.output):
            os.remove(w.output)
        return pb.OutputResponse(text=text)


def answering(method, stream):
    """Makes Refused, and what else goes wrong in a call, into its answer."""

    def call(self, request, context):
        try:
            return method(self, request, context)
        except Refused as e:
            context.abort(e.args[0], f"mine-python: {e.args[1]}")

    def calls(self, request, context):
        try:
            yield from method(self, request, context)
        except Refused as e:
            context.abort(e.args[0], f"mine-python: {e.args[1]}")

    return calls if stream else call


for _name in ("Start", "FromDict", "Stop", "ToDict", "Detach", "Events", "Status", "Signal", "Output"):
    setattr(Launcher, _name, answering(getattr(Launcher, _name), _name == "Events"))


class Life(health_pb2_grpc.HealthServicer, controller_pb2_grpc.GRPCControllerServicer, stdio_pb2_grpc.GRPCStdioServicer):
    """What go-plugin asks of every plugin. done is set when the plugin is to end."""

    def __init__(self):
        self.done, self.asked, self.connected = threading.Event(), False, threading.Event()

    def Check(self, request, context):
        return health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)

    def Shutdown(self, request, context):
        self.asked = True
        threading.Timer(0.05, self.done.set).start()  # behind the answer
        return controller_pb2.Empty()

    def StreamStdio(self, request, context):
        self.connected.set()
        context.add_callback(self.done.set)  # ipcore is gone
        self.done.wait()
        yield from ()


def serve():
    folder, tls = os.environ["PLUGIN_UNIX_SOCKET_DIR"], os.environ["IPCORE_TLS_DIR"]
    for name in list(os.environ):  # no workload may see what is between ipcore and a plugin
        if name.startswith("PLUGIN_") or name in ("IPCORE_PLUGIN", "IPCORE_TLS_DIR", "IPCORE_PLUGIN_LOG_LEVEL"):
            del os.environ[name]

    def pem(name):
        with open(os.path.join(tls, name), "rb") as f:
            return f.read()

    launcher, life = Launcher(), Life()
    size = 16 << 20
    # A thread for each call, and each stream is a call for as long as it is open.
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=200), options=[
        ("grpc.max_receive_message_length", size), ("grpc.max_send_message_length", size)])
    launcher_pb2_grpc.add_LauncherServicer_to_server(launcher, server)
    health_pb2_grpc.add_HealthServicer_to_server(life, server)
    controller_pb2_grpc.add_GRPCControllerServicer_to_server(life, server)
    stdio_pb2_grpc.add_GRPCStdioServicer_to_server(life, server)
    socket = os.path.join(folder, "p.sock")
    mask = os.umask(0o077)
    server.add_secure_port("unix:" + socket, grpc.ssl_server_credentials(
        [(pem("key.pem"), pem("cert.pem"))], pem("ca.pem"), require_client_auth=True))
    server.start()
    os.umask(mask)
    # Handlers, since children would inherit a signal that is ignored.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGPIPE, lambda *_: None)
    orderly = threading.Event()
    for s in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(s, lambda *_: (orderly.set(), life.done.set()))
    print(f"1|1|unix|{socket}|grpc|", flush=True)

    threading.Thread(target=lambda: life.connected.wait(60) or life.done.set(), daemon=True).start()
    while not life.done.wait(0.2):  # in steps, so that signals get their turn
        pass
    if not life.asked and not orderly.is_set():
        # ipcore died. What it has not named since Start it may not have written down:
        # nobody could find that any more.
        for w in list(launcher.table.values()):
            if w.begun and not w.known:
                w.end()
    server.stop(0.1)
    for path in [socket] + [os.path.join(tls, f) for f in ("ca.pem", "cert.pem", "key.pem", "lock")]:
        try:
            os.remove(path)
        except OSError:
            pass
    for path in {folder, tls}:
        try:
            os.rmdir(path)
        except OSError:
            pass
    os._exit(0)  # not kept by a handler that is still at work


if __name__ == "__main__":
    serve()
