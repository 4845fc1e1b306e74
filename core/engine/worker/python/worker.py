"""The worker: its start, the loop over requests, and exactly one reply to each."""

import os
import sys

from . import canning, channel, helpers, interrupt, namespace, packages, streams  # helpers registers itself

_fault_file = []


def run(fd, fault):
    """Serve the engine at the other end of fd until it sends quit or is gone."""
    channel.open(fd)
    interrupt.install()
    streams.install()
    if fault >= 0:
        _watch_faults(fault)
    sys.argv = [""]
    channel.wait()
    kind, _, parts = channel.waiting
    if kind != channel.HELLO:
        channel.lost("a frame of kind %r arrived before the hello" % chr(kind))
    _hello(parts[0])
    channel.waiting = None
    _loop(lambda: _loop(lambda: _loop(_serve)))
    try:
        interrupt.begin()
        _bound_exit()
    finally:
        sys.exit(0)


def _loop(step):
    """Call step until the engine sends quit. The loops are nested, because a user's signal handler may raise anywhere, even here."""
    while True:
        try:
            if step():
                return True
        except Quit:
            return True
        except BaseException:
            pass


def _watch_faults(fd):
    """Have the stacks of a crash written to the descriptor, which children don't inherit."""
    try:
        import faulthandler

        fd = channel.move_high(fd)
        faulthandler.enable(fd, all_threads=True)
        _fault_file.append(fd)
    except (ImportError, OSError, RuntimeError, ValueError):
        pass


def _hello(options):
    namespace.hello = bytes(options)
    namespace.install(_shell, _display)
    found = packages.install(_stand_in_names, _replacements)
    about = '{"pid": %d, "python": "%d.%d.%d", "implementation": "%s", "packages": {%s}}' % (
        (os.getpid(),)
        + sys.version_info[:3]
        + (sys.implementation.cache_tag or sys.implementation.name,)
        + (", ".join(['"%s": %s' % (name, str(there).lower()) for name, there in found.items()]),)
    )
    channel.send(channel.READY, [about.encode("ascii")])


# These modules are imported at their first use.


def _shell():
    from . import shell

    return shell.instance()


def _display(*objs, **kwargs):
    from . import display

    return display.display(*objs, **kwargs)


def _stand_in_names(module):
    from . import standins

    return standins.names(module)


def _replacements(module):
    from . import standins

    return standins.replacements(module)


class Quit(BaseException):
    """The engine asked the worker to end."""


def _serve():
    """Handle one request. If a user's signal handler raises an exception meanwhile, the next call continues."""
    interrupt.end()
    if channel.begun is not None:
        _answer_begun()
        return
    channel.wait()
    kind, flags, parts = channel.waiting
    if kind == channel.QUIT:
        raise Quit
    handler = _handlers.get(kind)
    if handler is None:
        channel.waiting = None
        return
    result = error = None
    try:
        interrupt.begin()
        channel.begun = channel.waiting
        namespace.parent = parent = parts[0]
        result = handler(parts, flags)
    except BaseException as e:
        interrupt.end()
        error = e
    interrupt.end()
    if channel.is_child():  # user code forked and let the child return
        os._exit(0 if error is None else 1)
    if error is not None:
        result = _failed(error)
        error = None
    streams.flush()
    result.insert(0, parent)
    channel.send(channel.REPLY, result)
    interrupt.install()


def _answer_begun():
    """Reply to a request whose reply was interrupted after user code had ended."""
    error = RuntimeError("a signal handler raised an exception while the reply was being created")
    channel.send(channel.REPLY, [channel.begun[2][0]] + _failed(error))


def _failed(error):
    """Return the parts of an error reply."""
    from . import failure

    for _ in range(3):
        try:
            interrupt.begin()
            try:
                lines = failure.lines(error)
                failure.keep(error)
                expressions = b""
                return [
                    b"error",
                    channel.write_text(failure.name(error)),
                    channel.write_text(failure.value(error)),
                    channel.write_text("\0".join([line.replace("\0", "\\0") for line in lines])),
                    expressions,
                    failure.flags(error),
                ]
            finally:
                interrupt.end()
        except BaseException:
            interrupt.end()
    name = type(error).__name__.encode("utf-8", "backslashreplace")
    return [b"error", name, b"(the error could not be shown as text)", name + b" Traceback (most recent call last)", b"", b""]


def _apply(parts, flags):
    canning.sessions.current = bytes(parts[1])
    f, args, kwargs = canning.unpack_apply(parts[2:], namespace.user_ns)
    del parts[2:]
    before = interrupt.enter(interrupt.USER)
    try:
        result = f(*args, **kwargs)
    finally:
        interrupt.leave(before)
    del f, args, kwargs
    out = canning.serialize(result)
    out.insert(0, b"ok")
    return out


def _execute(parts, flags):
    from . import cells

    silent, store = bool(flags & 1), bool(flags & 2)
    source = bytes(parts[1]).decode("utf-8", "surrogatepass")
    cells.execute(source, int(parts[2]), silent, store)
    if not parts[3]:
        return [b"ok", b"{}"]
    import json

    from . import display

    results = cells.evaluate(json.loads(bytes(parts[3]).decode("utf-8")))
    return [b"ok", display.encode(results)]


def _clear(parts, flags):
    streams.restore()
    namespace.reset()
    return [b"ok"]


def _jupyter(parts, flags):
    import json

    from . import display, jupyter

    content = json.loads(bytes(parts[2]).decode("utf-8")) if parts[2] else {}
    return [b"ok", display.encode(jupyter.answer(bytes(parts[1]).decode("ascii"), content))]


_handlers = {channel.APPLY: _apply, channel.EXECUTE: _execute, channel.CLEAR: _clear, channel.JUPYTER: _jupyter}


def _bound_exit():
    """Limit the time of exit handlers, because the engine waits for the process."""
    import _signal

    if hasattr(_signal, "setitimer"):
        _signal.signal(_signal.SIGALRM, lambda signum, frame: os._exit(0))
        _signal.setitimer(_signal.ITIMER_REAL, 3)
