"""Frames over the socket to the engine process, and the rules that keep forked children and stray threads out of it."""

import _signal
import _thread
import os
import select
from struct import Struct, pack, unpack_from

from . import interrupt

HEAD = Struct("<BBH")
SMALL = 65536  # one read takes a request up to this size whole
INLINE = 1024  # parts up to this size are handed out as bytes, longer ones as memory that may be written to
MAPPED = 1 << 20  # parts from this size on get a mapping of their own, which the kernel fills with zeros only on demand
HIGH = 200  # descriptors below are what user code closes when it turns itself into a daemon
IOV_MAX = 512

UNUSABLE = 70  # exit status when the channel was closed or overwritten from inside the process

_fd = -1
_owner = 0
_poll = None  # waits until there is something to read
_lock = _thread.allocate_lock()
_rest = b""  # what was read beyond the last frame

# The request at hand: (kind, flags, parts). begun is the same object from the moment that its answer is being made; both are
# None once the reply is written. All three changes are single steps, because signal handlers of the user may raise anywhere.
waiting = None
begun = None

# Kinds of frames; README.md has their parts.
HELLO, APPLY, EXECUTE, CLEAR, JUPYTER, QUIT = 72, 65, 69, 67, 74, 81  # H, A, E, C, J, Q to the worker
READY, REPLY, DATA = 72, 82, 68  # H, R, D from the worker

if hasattr(_signal, "pthread_sigmask"):
    _sigmask, _SIG_BLOCK, _SIG_SETMASK = _signal.pthread_sigmask, _signal.SIG_BLOCK, _signal.SIG_SETMASK
    # Those that a handler in Python is likely for: not all, because a longer set costs a microsecond.
    _SIGNALS = {
        getattr(_signal, "SIG" + name)
        for name in ("INT", "TERM", "HUP", "QUIT", "ALRM", "VTALRM", "PROF", "CHLD", "USR1", "USR2", "WINCH", "URG", "IO", "XCPU")
        if hasattr(_signal, "SIG" + name)
    }
else:
    _SIG_BLOCK = _SIG_SETMASK = 0
    _SIGNALS = ()

    def _sigmask(how, signals):
        return signals


def move_high(fd):
    """Return a duplicate of fd with a high number that children don't inherit; close fd."""
    try:
        import fcntl

        high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, HIGH)
    except (ImportError, OSError):  # a low limit of open files
        high = os.dup(fd)
    os.close(fd)
    return high


def open(fd):
    """Take over the inherited descriptor."""
    global _fd, _owner, _poll
    _fd = move_high(fd)
    os.set_blocking(_fd, True)
    poll = select.poll()
    poll.register(_fd, select.POLLIN)
    _poll = poll.poll
    _owner = os.getpid()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_forked)


def _forked():
    """Leave the channel to the parent: a child that kept it would keep the engine from seeing the worker's death."""
    global _fd, _lock
    if _fd >= 0:
        try:
            os.close(_fd)
        except OSError:
            pass
    _fd = -1
    _lock = _thread.allocate_lock()  # another thread of the parent may have held it


def is_child():
    """Report whether this process is a fork of the worker."""
    return os.getpid() != _owner


def lost(error):
    """End a process that can't reach its engine any more."""
    if is_child():
        os._exit(0)
    try:
        os.write(2, ("worker lost its channel to the engine: %s\n" % error).encode("utf-8", "backslashreplace"))
    finally:
        os._exit(UNUSABLE)


def _some(limit):
    data = os.read(_fd, limit)
    if not data:
        os._exit(0)
    return data


def _memory(size):
    """Return zeroed memory that can be written to and belongs to one request alone."""
    if size >= MAPPED:
        try:
            import mmap

            return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        except (ImportError, AttributeError, OSError, ValueError):
            pass
    return bytearray(size)


def _fill(memory, have):
    """Copy have into memory, read what is missing from the channel."""
    view = memoryview(memory)
    view[: len(have)] = have
    at = len(have)
    while at < len(view):
        n = os.readv(_fd, [view[at:]])
        if n == 0:
            os._exit(0)
        at += n


def wait():
    """Wait until a frame is in waiting. An exception means that a signal handler of the user raised it; nothing is lost then."""
    global waiting
    while waiting is None:
        _poll()
        mask = _sigmask(_SIG_BLOCK, _SIGNALS)
        try:
            waiting = _receive()
        except ConnectionResetError:
            os._exit(0)
        except BaseException as e:  # part of a frame may be gone
            lost(e)
        finally:
            _sigmask(_SIG_SETMASK, mask)


def _receive():
    """Read one frame. Return its kind (an integer), its flags and its parts."""
    global _rest
    data, _rest = _rest, b""
    while len(data) < 4:
        data += _some(SMALL)
    kind, flags, count = HEAD.unpack_from(data)
    at = 4 + 8 * count
    while len(data) < at:
        data += _some(SMALL)
    sizes = unpack_from("<%dQ" % count, data, 4)
    end = at + sum(sizes)
    if end <= SMALL:
        while len(data) < end:
            data += _some(SMALL)
    parts = []
    for size in sizes:
        stop = at + size
        if stop <= len(data):
            part = data[at:stop]
            parts.append(part if size <= INLINE else bytearray(part))
        else:
            part = _memory(size)
            _fill(part, data[at:])
            data = data[:0]
            at = stop = 0
            parts.append(part if size > INLINE else bytes(part))
        at = stop
    _rest = data[at:]
    return kind, flags, parts


def _flat(view):
    """Return a memoryview as something whose length is its size in bytes."""
    if view.itemsize == 1 and view.ndim == 1 and view.contiguous:
        return view
    try:
        return view.cast("B")
    except (TypeError, ValueError):
        return view.tobytes()


def send(kind, parts, flags=0):
    """Write one frame. A forked child writes nothing. A reply ends the request at hand. An exception means that a signal
    handler of the user raised it, before the frame or after it."""
    global waiting, begun
    if _fd < 0 or os.getpid() != _owner:
        return
    sizes = []
    for i, p in enumerate(parts):
        if isinstance(p, memoryview):
            parts[i] = p = _flat(p)
        sizes.append(len(p))
    head = pack("<BBH%dQ" % len(sizes), kind, flags, len(sizes), *sizes)
    if sum(sizes) <= SMALL:
        parts = [head + b"".join(parts)]
    else:
        parts = [head] + parts
    before = interrupt.enter(interrupt.HELD)
    try:
        mask = _sigmask(_SIG_BLOCK, _SIGNALS)
        try:
            with _lock:
                try:
                    _write(parts)
                except BrokenPipeError:
                    os._exit(0)
                except BaseException as e:  # part of a frame may be out
                    lost(e)
                if kind == REPLY:
                    waiting = begun = None
        finally:
            _sigmask(_SIG_SETMASK, mask)
    finally:
        interrupt.leave(before)


def _write(parts):
    if len(parts) == 1:
        n = os.write(_fd, parts[0])
        if n == len(parts[0]):
            return
        parts = [memoryview(parts[0])[n:]]
    views = [memoryview(p) for p in parts if len(p)]
    at = 0
    while at < len(views):
        n = os.writev(_fd, views[at : at + IOV_MAX])
        while at < len(views) and n >= len(views[at]):
            n -= len(views[at])
            at += 1
        if n:
            views[at] = views[at][n:]


def write_text(text):
    """Return text as UTF-8, whatever it holds, and not without limit."""
    if len(text) > 1 << 20:
        text = text[: 1 << 20] + "…"
    return text.encode("utf-8", "backslashreplace")
