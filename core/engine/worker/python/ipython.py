"""The node's own IPython, created only when a cell or get_ipython() needs more than the worker's shell has.

From then on it runs the cells and formats their output, in the same module and namespace.
"""

import sys

from . import display, interrupt, namespace, packages

_shell = []


def current():
    """Return IPython's shell if it was created, or None."""
    return _shell[0] if _shell else None


def start():
    """Return IPython's shell, created if necessary, or None if the node has no IPython."""
    if not _shell:
        before = interrupt.enter(interrupt.BUSY)
        try:
            _make()
        except ImportError:
            return None
        finally:
            interrupt.leave(before)
    return _shell[0]


def _make():
    import IPython

    if hasattr(IPython, packages.MARK):
        raise ImportError("IPython is a stand-in here")
    from IPython.core.displayhook import DisplayHook
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets import Type
    from traitlets.config import Config

    class Hook(DisplayHook):
        def start_displayhook(self):
            pass

        def write_output_prompt(self):
            pass

        def write_format_data(self, format_dict, md_dict=None):
            if format_dict:
                content = {"data": format_dict, "metadata": md_dict or {}, "execution_count": self.prompt_count}
                display.send("execute_result", content)

        def finish_displayhook(self):
            pass

    class EngineShell(InteractiveShell):
        displayhook_class = Type(Hook)

        def _showtraceback(self, etype, evalue, stb):
            """Show nothing: the error is the reply."""

        def showtraceback(self, *args, **kwargs):
            """Show nothing: the error is the reply."""

        def showsyntaxerror(self, *args, **kwargs):
            """Show nothing: the error is the reply."""

        def enable_gui(self, gui=None):
            """Do nothing: an engine runs no event loop of a GUI."""

        def ask_exit(self):
            """Do nothing: a cell can't end the engine."""

    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "NoColor"
    kept = sys.excepthook, sys.displayhook
    own = _own_names()
    inputs, results = list(namespace.user_ns.get("_ih") or ()), dict(namespace.user_ns.get("_oh") or ())
    shell = EngineShell.instance(config=config, user_module=namespace.user_module, user_ns=namespace.user_ns)
    sys.excepthook, sys.displayhook = kept
    shell.display_pub.publish = display.publish_display_data
    namespace.user_ns.update(own)
    history = shell.history_manager
    history.input_hist_parsed[:] = history.input_hist_raw[:] = inputs or [""]
    history.output_hist.update(results)
    _last_results(shell)
    namespace.after_reset = link
    display.formatter = shell.display_formatter.format
    _shell.append(shell)


def _own_names():
    return {name: namespace.user_ns[name] for name in ("get_ipython", "exit", "quit") if name in namespace.user_ns}


def _last_results(shell):
    """Tell the display hook the values of _, __ and ___: it does not change variables that it did not set."""
    for name in ("_", "__", "___"):
        setattr(shell.displayhook, name, namespace.user_ns.setdefault(name, ""))


def link():
    """Connect IPython's history with a namespace that was emptied."""
    own = _own_names()
    _shell[0].history_manager.reset()
    _shell[0].init_user_ns()
    namespace.user_ns.update(own)
    _last_results(_shell[0])


def execute(source, count, silent, store):
    """Run the code of an execute request."""
    shell = _shell[0]
    shell.execution_count = count
    if store:
        for past in (shell.history_manager.input_hist_parsed, shell.history_manager.input_hist_raw):
            past.extend([""] * (count - len(past)))
    before = interrupt.enter(interrupt.USER)
    try:
        result = shell.run_cell(source, store_history=store, silent=silent)
    finally:
        interrupt.leave(before)
    error = result.error_before_exec or result.error_in_exec
    if error is not None:
        raise error
