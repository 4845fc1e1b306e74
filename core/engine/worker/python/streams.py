"""sys.stdout and sys.stderr: UTF-8, every write passed on at once, so that half a line of a busy worker can be seen."""

import io
import os
import sys


class Pipe(io.FileIO):
    """An unbuffered stream that writes all it is given."""

    def write(self, data):
        done = super().write(data)
        size = len(data)
        while done is None or done < size:  # a signal came, or the pipe does not block
            done = (done or 0) + (super().write(memoryview(data)[done or 0 :]) or 0)
        return size


def _text(fd, name, old):
    asked = os.environ.get("PYTHONIOENCODING")
    encoding, errors = (old.encoding, old.errors) if asked and old is not None else ("utf-8", "backslashreplace")
    raw = Pipe(fd, "w", closefd=False)
    raw.name = name
    stream = io.TextIOWrapper(raw, encoding=encoding, errors=errors, newline="\n", write_through=True)
    stream.mode = "w"
    return stream




class StdinNotImplementedError(NotImplementedError):
    """input() was called on an engine."""

    __module__ = "ipcore"


def _input(prompt=""):
    """Refuse to wait for text that nobody can type."""
    raise StdinNotImplementedError("input was called, but an engine has no standard input")


_own = []


def install():
    """Put the streams in place."""
    import builtins

    sys.stdout = sys.__stdout__ = _text(1, "<stdout>", sys.stdout)
    sys.stderr = sys.__stderr__ = _text(2, "<stderr>", sys.stderr)
    builtins.input = _input
    _own[:] = [sys.stdout, sys.stderr]


def restore():
    """Put the streams back that user code replaced."""
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__ = _own


def flush():
    """Pass on what any layer still holds: streams that user code put in place, and C's if C code may have been run."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not _own[0] and stream is not _own[1]:
            try:
                stream.flush()
            except BaseException:
                pass
    if "ctypes" in sys.modules:
        try:
            libc = _libc()
            libc.fflush(None)
        except Exception:
            pass


_cached = []


def _libc():
    if not _cached:
        import ctypes

        _cached.append(ctypes.PyDLL(None))
    return _cached[0]
