"""Errors of user code as text. Everything here may run user code (str, repr) and so may fail; the text never does."""

import sys

OWN = "<ipcore_worker"  # how the file names of the worker's own code begin
SHELL = "IPython/core/interactiveshell.py"  # it runs cells too


def name(e):
    """Return the name of the class."""
    return str(type(e).__name__)


def value(e):
    """Return str(e), or what kept that from working."""
    try:
        return str(e)
    except BaseException as failed:
        return "%s could not be shown as text: its __str__ raised %s" % (name(e), name(failed))



def _prune(report, summary, seen):
    """Take the worker's own frames out of a traceback and of those that it is chained to."""
    if report is None or id(report) in seen:
        return
    seen.add(id(report))
    if report.stack is not None:
        report.stack = summary.from_list([f for f in report.stack if not f.filename.startswith(OWN) and not f.filename.endswith(SHELL)])
    _prune(report.__cause__, summary, seen)
    _prune(report.__context__, summary, seen)
    for e in getattr(report, "exceptions", None) or ():
        _prune(e, summary, seen)


def lines(e):
    """Return the traceback as a list of lines. The first holds the name of the class."""
    head = "%s%s" % (name(e).ljust(42), "Traceback (most recent call last)")
    try:
        import linecache
        import traceback

        linecache.checkcache()
        report = traceback.TracebackException(type(e), e, e.__traceback__)
        _prune(report, traceback.StackSummary, set())
        text = "".join(report.format())
        title = "Traceback (most recent call last):\n"
        if text.startswith(title) and text.count(title) == 1:
            text = text[len(title) :]
        return [head] + text.rstrip("\n").split("\n")
    except BaseException as failed:
        return [head, "(no traceback: formatting it raised %s)" % name(failed), "%s: %s" % (name(e), value(e))]


def keep(e):
    """Leave the error for post-mortem use, as the interactive interpreter does."""
    sys.last_type, sys.last_value, sys.last_traceback = type(e), e, e.__traceback__
    if sys.version_info >= (3, 12):
        sys.last_exc = e


def flags(e):
    """Return what the engine needs in addition to the text, as JSON."""
    return b'{"dependencies_met": false}' if name(e) == "UnmetDependency" else b""
