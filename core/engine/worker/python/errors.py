"""The classes of ipyparallel.error, for nodes without ipyparallel."""

import sys

from . import packages, pickling

BASES = {
    "IPythonError": "Exception",
    "KernelError": "IPythonError",
    "EngineError": "KernelError",
    "NoEnginesRegistered": "KernelError",
    "TaskAborted": "KernelError",
    "TaskTimeout": "KernelError",
    "TimeoutError": "KernelError",
    "UnmetDependency": "KernelError",
    "ImpossibleDependency": "UnmetDependency",
    "DependencyTimeout": "ImpossibleDependency",
    "InvalidDependency": "ImpossibleDependency",
    "RemoteError": "KernelError",
    "TaskRejectError": "KernelError",
    "CompositeError": "RemoteError",
    "AlreadyDisplayedError": "RemoteError",
}
_made = {}


def error_class(name):
    """Return a class of ipyparallel.error: the node's own if it is imported."""
    module = sys.modules.get("ipyparallel.error")
    if module is not None and not hasattr(module, packages.MARK):
        return getattr(module, name)
    return create(name)


def create(name):
    """Return the stand-in for a class of ipyparallel.error."""
    if name == "Exception":
        return Exception
    if name not in _made:
        body = {"__module__": "ipyparallel.error"}
        if name == "RemoteError":
            body.update(__init__=_remote_init, __str__=_remote_text, engine_info=None)
        elif name == "CompositeError":
            body.update(__init__=_composite_init)
        _made[name] = pickling.Public(name, (create(BASES[name]),), body)
    return _made[name]


def _remote_init(self, ename, evalue, traceback=None, engine_info=None):
    Exception.__init__(self, ename, evalue, traceback, engine_info)
    self.ename, self.evalue, self.traceback, self.engine_info = ename, evalue, traceback, engine_info or {}


def _remote_text(self):
    return "%s: %s" % (self.ename, self.evalue)


def _composite_init(self, message, elist=()):
    Exception.__init__(self, message, elist)
    self.ename, self.evalue, self.traceback, self.engine_info = "CompositeError", message, None, {}
    self.elist = elist
