"""The user's module: __main__ for everything that looks it up, and the dict that all user code shares.

This module imports no other of the worker's; install receives the functions that need them.
"""

import builtins
import sys
import types

user_module = types.ModuleType("__main__", None)
user_ns = user_module.__dict__
hello = b"{}"  # JSON: engine_id, uuid
parent = b""  # msg_id of the last request; messages of threads that outlive their request belong to it

after_reset = None  # called after the namespace was emptied
_shell = _display = None  # functions: return the shell; show objects at the client
_last_input = []
_loader_module = []  # the loader's __main__, kept so that its functions keep their globals


class Exit:
    """exit and quit: end the request, not the engine."""

    def __repr__(self):
        return "Ends the request with SystemExit."

    def __call__(self, code=None):
        raise SystemExit(code)


_exit = Exit()


def get_ipython():
    """Return the shell of this engine."""
    return _shell()


def display(*objs, **kwargs):
    """Show objects at the client."""
    return _display(*objs, **kwargs)


def install(shell, show):
    """Make the user's module __main__. shell returns the shell, and show shows objects at the client."""
    global _shell, _display
    _shell, _display = shell, show
    _loader_module.append(sys.modules["__main__"])
    sys.modules["__main__"] = user_module
    builtins.get_ipython = get_ipython
    builtins.display = display
    reset()


def reset():
    """Empty the namespace. The dict stays the same object, because functions refer to it."""
    user_ns.clear()
    del _last_input[:]
    fill()
    if after_reset is not None:
        after_reset()


def fill():
    """Bind the names that every namespace starts with."""
    from os import getcwd

    history, results = [""], {}
    try:
        visited = [getcwd()]
    except OSError:
        visited = []
    user_ns.update(
        __name__="__main__",
        __doc__=None,
        __package__=None,
        __loader__=None,
        __spec__=None,
        __builtin__=builtins,
        __builtins__=builtins,
        In=history,
        _ih=history,
        Out=results,
        _oh=results,
        _dh=visited,
        _="",
        __="",
        ___="",
        _i="",
        _ii="",
        _iii="",
        get_ipython=get_ipython,
        exit=_exit,
        quit=_exit,
    )


def remember_input(code, count):
    """Record the source of a cell under its number."""
    history = user_ns.get("_ih")
    if isinstance(history, list):
        while len(history) < count:
            history.append("")
        history[count:] = [code]
    last = _last_input[:1]
    if last:
        user_ns["_iii"], user_ns["_ii"], user_ns["_i"] = user_ns.get("_ii", ""), user_ns.get("_i", ""), last[0]
    _last_input[:] = [code]
    user_ns["_i%d" % count] = code


def remember_output(value, count):
    """Record the result of a cell under its number."""
    user_ns["___"], user_ns["__"], user_ns["_"] = user_ns.get("__", ""), user_ns.get("_", ""), value
    user_ns["_%d" % count] = value
    results = user_ns.get("_oh")
    if isinstance(results, dict):
        results[count] = value
