"""Runs launchers that are Python classes of IPython Parallel's form.

ipcore-launcher-exec has the user's Python run this text:

    python - list          the entry points, as JSON
    python - find NAME     the launcher of a name, as JSON

What find answers becomes FOUND in a copy of this text, which is an executable:

    COPY describe          the launcher's description
    COPY serve             requests on stdin, answers on stdout, a line of JSON each

serve keeps the launcher objects as ipcluster does, and makes one again of its
to_dict when it does not have it. It needs Python 3.9 and ipyparallel 7.
"""

import copy
import json
import os
import sys

FOUND = None

GROUPS = {"engine": "ipyparallel.engine_launchers", "controller": "ipyparallel.controller_launchers"}

# What ipcore itself does for every launcher.
OF_THE_HOST = {"engine_cmd", "engine_args", "controller_cmd", "controller_args", "environment", "work_dir"}

# The exit codes of a script.
NOT_RUNNING, BAD_OPTION, UNSUPPORTED, UNKNOWN_STATUS = 3, 64, 69, 75

OUTPUT_LIMIT = 128 << 10  # characters
POLL = 0.5  # seconds
STOP_PATIENCE = 2  # seconds, behind the launcher's own
REAPING = 0.2  # seconds for the parent of what has ended
LAST_DUTY = 30  # seconds
NO_PID = 2**22 + 1  # beyond the greatest


# Discovery


def entry_points():
    """(kind, entry point) of each launcher that is not ipyparallel's own, which ipcore has better."""
    from importlib.metadata import entry_points

    every = entry_points()
    for kind, group in GROUPS.items():
        for point in every.select(group=group) if hasattr(every, "select") else every.get(group, ()):
            if not point.value.startswith("ipyparallel."):
                yield kind, point


def find(name):
    """What there is of a name, or of the path of a class; None for nothing."""
    found = {}
    version = None
    for kind, point in entry_points():
        if point.name.lower() == name.lower():
            found[kind] = point.value
            version = getattr(getattr(point, "dist", None), "version", None) or version
    if not found and "." in name:
        module, _, cls = name.rpartition("." if ":" not in name else ":")
        cls = load(f"{module}:{cls}")
        from ipyparallel.cluster.launcher import ControllerLauncher

        found["controller" if issubclass(cls, ControllerLauncher) else "engine"] = f"{module}:{cls.__name__}"
    if not found:
        return None
    described = describe(name, version, {kind: load(value) for kind, value in found.items()})
    path = [os.path.abspath(p) for p in sys.path if p]
    return {"description": described, "classes": found, "path": path, "python": sys.executable}


def load(value):
    """The class behind module:attribute."""
    import importlib

    module, _, names = value.partition(":")
    found = importlib.import_module(module)
    for name in names.split("[")[0].strip().split("."):
        found = getattr(found, name)
    return found


def describe(name, version, classes):
    from ipyparallel.cluster import launcher

    def overrides(method):
        return all(getattr(cls, method, None) is not getattr(launcher.BaseLauncher, method) for cls in classes.values())

    def remote(cls):
        hosts = (launcher.SSHLauncher, launcher.MPILauncher)
        return not issubclass(cls, launcher.LocalProcessLauncher) or issubclass(cls, hosts)

    powers = {"status": True, "signal": overrides("signal"), "output": overrides("get_output")}
    plain = "".join(c if c.isascii() and c.isalnum() or c in "-_" else "-" for c in name.lower()).lstrip("-_")[:64]
    return {
        "name": plain, "version": version or "0", "kinds": sorted(classes), "protocol": [1], "speaks": "script",
        "serve": True, "poll": POLL, "capabilities": [power for power, has in powers.items() if has],
        "classes": {kind: names_of(cls) for kind, cls in classes.items()},
        "options": options(classes), "remote": any(map(remote, classes.values())),
    }


def names_of(cls):
    """The names by which configuration reaches a class, the most specific first."""
    from ipyparallel.cluster.launcher import BaseLauncher

    return [c.__name__ for c in cls.__mro__ if issubclass(c, BaseLauncher)]


def options(classes):
    import traitlets as t

    types = (
        (t.Bool, "bool"), (t.Integer, "int"), (t.Float, "float"), ((t.Unicode, t.CRegExp, t.Enum), "string"),
        ((t.List, t.Set, t.Tuple), "list"), (t.Dict, "map"),
    )
    all_ = {}
    for kind, cls in classes.items():
        for name, trait in sorted(cls.class_traits(config=True).items()):
            type_ = next((word for of, word in types if isinstance(trait, of)), None)
            if type_ is None or name in OF_THE_HOST:
                continue
            option = all_.setdefault(name, {"name": name, "type": type_, "help": " ".join((trait.help or "").split()), "kinds": []})
            option["kinds"].append(kind)
            if type_ in ("bool", "int", "float", "string") and isinstance(trait.default_value, (bool, int, float, str)):
                option["default"] = trait.default_value
    for option in all_.values():
        if len(option["kinds"]) == len(classes):
            del option["kinds"]
    return [all_[name] for name in sorted(all_)]


# Service


class Refused(Exception):
    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


async def result(of):
    """What a method answered that may or may not be a coroutine."""
    import inspect

    return await of if inspect.isawaitable(of) else of


class Service:
    def __init__(self):
        import asyncio
        import logging

        from ipyparallel.cluster import launcher

        # The command that a request has is whole. Version 7 adds these two otherwise.
        launcher.BaseLauncher.cluster_args = property(lambda self: [])
        launcher.open = tolerant_open  # output may be any bytes
        wait_for_no_zombies()
        self.upstream = launcher
        self.log = logging.getLogger("launcher")
        self.launchers = {}
        self.starting = asyncio.Lock()  # it changes the environment
        self.ended = asyncio.Event()

    def make(self, request, state=None):
        """The launcher object of a request: a new one, or of its state."""
        from traitlets.config import Config

        cls = load(FOUND["classes"]["controller" if request["kind"] == "controller" else "engine"])
        config = Config()
        for name, value in (request.get("options") or {}).items():
            # In the sections of all classes that have it, it reaches the launchers of single engines too.
            for c in cls.__mro__:
                if issubclass(c, self.upstream.BaseLauncher) and c.class_traits().get(name):
                    config[c.__name__][name] = value
        more = {"config": config, "log": self.log}
        if hasattr(cls, "engine_set_id"):
            more["engine_set_id"] = request["id"]
        if state is not None:
            return cls.from_dict(state, **more)
        more.update(work_dir=request.get("work_dir") or ".", profile_dir=request["profile_dir"], cluster_id=request["cluster_id"])
        made = cls(**more)
        for role in "engine", "controller":
            if hasattr(cls, role + "_cmd"):
                setattr(made, role + "_cmd", request["command"])
                setattr(made, role + "_args", [])
        if "environment" in cls.class_traits():
            made.environment = request.get("environment") or {}
        return made

    def key(self, request):
        return request["kind"], request["profile_dir"], request["cluster_id"], request["id"]

    async def launcher(self, request):
        """The launcher that a request is about."""
        known = self.launchers.get(self.key(request))
        if known is None:
            try:
                known = await result(self.make(request, restorable(request["state"])))
            except self.upstream.NotRunning as e:
                raise Refused(NOT_RUNNING, str(e) or "it has ended") from e
            self.launchers[self.key(request)] = known
        return known

    async def start(self, request):
        async with self.starting:
            before = dict(os.environ)
            os.environ.update(request.get("environment") or {})
            try:
                if request["profile_dir"]:
                    os.makedirs(os.path.join(request["profile_dir"], "log"), exist_ok=True)
                made = self.make(request)
                n = () if request["kind"] == "controller" else (getattr(made, "engine_count", request["n"]),)
                try:
                    await result(made.start(*n))
                except BaseException:
                    await stop_after_failure(made, self.log)
                    raise
            finally:
                os.environ.clear()
                os.environ.update(before)
        self.launchers[self.key(request)] = made
        if self.ended.is_set():
            await stop_after_failure(made, self.log)  # nobody will ever know of it
        return {"state": storable(made.to_dict())}

    async def status(self, request):
        made = await self.launcher(request)
        code = None
        if made.state != "after":
            code = await self.poll(made)
        if made.state != "after" and code is None:
            answer = {"running": True}
            if isinstance(getattr(made, "launchers", None), dict):
                answer["n"] = len(made.launchers)
            return answer
        if code is None and isinstance(made.stop_data, dict):
            code = made.stop_data.get("exit_code")
        if not isinstance(code, int) or isinstance(code, bool):
            return {"running": False, "exit_code": -1}
        if code < 0:
            import signal

            return {"running": False, "exit_code": -1, "signal": next((s.name for s in signal.Signals if s == -code), "")}
        return {"running": False, "exit_code": int(code)}

    async def poll(self, made):
        """What poll answers: None while it runs. Not every class has one that works."""
        try:
            return await result(made.poll())
        except (AttributeError, NotImplementedError):
            return None
        except self.upstream.NotRunning as e:
            raise Refused(NOT_RUNNING, str(e)) from e
        except Exception as e:
            raise Refused(UNKNOWN_STATUS, f"{type(e).__name__}: {e}") from e

    async def stop(self, request):
        try:
            made = await self.launcher(request)
            if made.state != "after":
                await result(made.stop())
                # Some do not see to it that what they asked to end has ended.
                if not await self.ended_within(made, STOP_PATIENCE):
                    await result(made.signal(9))
                    await self.ended_within(made, STOP_PATIENCE)
        finally:
            await end_groups(request["state"])

    async def ended_within(self, made, seconds):
        import asyncio
        import time

        limit = time.monotonic() + seconds
        while made.state != "after" and time.monotonic() < limit:
            await asyncio.sleep(0.02)  # meanwhile its watching threads tell
        return made.state == "after"

    async def signal(self, request):
        await result((await self.launcher(request)).signal(request["signal"]))

    async def output(self, request):
        made = await self.launcher(request)
        for one in [made, *(getattr(made, "launchers", None) or {}).values()]:
            if getattr(one, "_output", None) is not None and one.state == "running":
                one._output = None  # what was read once is kept, though more may have come
        if getattr(made, "ipcore_removed", False):
            return ""
        made.ipcore_removed = bool(request.get("remove"))
        text = await result(made.get_output(remove=made.ipcore_removed))
        return (text or "")[-OUTPUT_LIMIT:]

    async def answer(self, request):
        verbs = {"start": self.start, "status": self.status, "stop": self.stop, "signal": self.signal, "output": self.output}
        try:
            verb = verbs.get(request["verb"])
            if verb is None:
                raise Refused(UNSUPPORTED, f"there is no verb {request['verb']}")
            return {"out": await verb(request)}
        except Refused as e:
            return {"code": e.code, "error": str(e)}
        except NotImplementedError as e:
            return {"code": UNSUPPORTED, "error": f"{FOUND['classes']} does not have it: {e}"}
        except Exception as e:
            self.log.debug("%s", request["verb"], exc_info=True)
            code = BAD_OPTION if type(e).__name__ == "TraitError" or isinstance(e, FileNotFoundError) else 1
            return {"code": code, "error": f"{type(e).__name__}: {e}"}


def tolerant_open(file, mode="r", **more):
    if "b" not in mode:
        more.setdefault("errors", "replace")
    return open(file, mode, **more)


def wait_for_no_zombies():
    """Have psutil not wait for what has ended and is somebody else's to reap, which may never be done."""
    import time

    import psutil

    wait = psutil.Process.wait

    def wait_or_see(self, timeout=None):
        limit = None if timeout is None else time.monotonic() + timeout
        while True:
            left = REAPING if limit is None else min(REAPING, max(0, limit - time.monotonic()))
            try:
                return wait(self, left)
            except psutil.TimeoutExpired:
                if not alive(self):
                    return None
                if limit is not None and time.monotonic() >= limit:
                    raise psutil.TimeoutExpired(timeout, self.pid) from None

    psutil.Process.wait = wait_or_see


def alive(process):
    import psutil

    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


async def stop_after_failure(made, log):
    """End what a start left that failed, or that nobody wants any more; the start's own error is what is answered."""
    try:
        await result(made.stop())
    except Exception:
        log.warning("what was started could not be stopped", exc_info=True)


def pids(state):
    """The dictionaries in a state that name a process of this machine."""
    if isinstance(state, dict):
        if isinstance(state.get("pid"), int) and state["pid"] > 0 and not state.get("hostname"):
            yield state
        for value in state.values():
            yield from pids(value)


def began(pid):
    """When a process began; None when it has ended."""
    import psutil

    try:
        process = psutil.Process(pid)
        return process.create_time() if alive(process) else None
    except psutil.Error:
        return None


def same(pid, stored):
    """Whether a process is the one of a stored state; the time it began is told a second off at times."""
    now, then = began(pid), stored["began"].get(str(pid))
    return now is not None and then is not None and abs(now - then) < 2


def storable(state):
    """A state with when its processes began, so that another of the same pid is not taken for one of them."""
    return {"launcher": state, "began": {str(d["pid"]): began(d["pid"]) for d in pids(state)}}


async def end_groups(stored):
    """Kill what the processes in a state have left behind: upstream ends the processes alone.

    As long as one process of a group lives, no other gets the group's number.
    """
    import asyncio

    ours = [d["pid"] for d in pids(stored["launcher"]) if stored["began"].get(str(d["pid"])) is not None]
    left = [pid for pid in ours if (began(pid) is None or same(pid, stored)) and killed(pid)]
    for _ in range(int(STOP_PATIENCE / 0.02)):
        if not left or not lives(left):
            return
        await asyncio.sleep(0.02)


def killed(group):
    """Whether there was something of a process group to kill."""
    try:
        os.killpg(group, 9)
    except OSError:
        return False  # not a process group, or all have ended
    return True


def lives(groups):
    """Whether a process of the groups lives. Some that have ended may be waited for by nobody."""
    import psutil

    for p in psutil.process_iter():
        try:
            if os.getpgid(p.pid) in groups and alive(p):
                return True
        except OSError:
            pass
    return False


def restorable(stored):
    state = copy.deepcopy(stored["launcher"])
    for d in pids(state):
        if stored["began"].get(str(d["pid"])) is not None and not same(d["pid"], stored):
            d["pid"] = NO_PID
    return state


async def serve(requests, answers):
    """Answer requests until there are no more."""
    import asyncio
    import threading

    service = Service()
    loop = asyncio.get_running_loop()
    running = set()

    async def one(line):
        request = json.loads(line)
        answer = await service.answer(request["request"])
        try:
            text = json.dumps({"id": request["id"], **answer}, ensure_ascii=False)
        except (TypeError, ValueError) as e:
            text = json.dumps({"id": request["id"], "code": 1, "error": f"its state is not valid JSON: {e}"})
        try:
            answers.write(text + "\n")
            answers.flush()
        except OSError:
            service.ended.set()

    def begin(line):
        task = loop.create_task(one(line))
        running.add(task)
        task.add_done_callback(running.discard)

    def read():
        for line in requests:
            loop.call_soon_threadsafe(begin, line)
        loop.call_soon_threadsafe(service.ended.set)
        if not service.starting.locked():
            os._exit(0)  # workloads run on
        threading.Event().wait(LAST_DUTY)
        os._exit(1)

    threading.Thread(target=read, daemon=True).start()
    await service.ended.wait()
    async with service.starting:
        os._exit(0)


def main(verb, *args):
    if verb == "list":
        print(json.dumps([{"name": p.name, "kind": kind, "class": p.value} for kind, p in entry_points()]))
    elif verb == "find":
        print(json.dumps(find(*args)))
    elif verb == "describe":
        print(json.dumps(FOUND["description"]))
    elif verb == "serve":
        import asyncio
        import logging

        # Whatever prints, prints to the log.
        answers = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace")
        requests = os.fdopen(os.dup(0), encoding="utf-8")
        os.dup2(2, 1)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
        asyncio.run(serve(requests, answers))
    else:
        sys.exit(UNSUPPORTED)


if FOUND:
    sys.path[:] = FOUND["path"] + [p for p in sys.path[1:] if p not in FOUND["path"]]
elif sys.path and not sys.path[0]:
    del sys.path[0]  # the working directory
main(*sys.argv[1:])
