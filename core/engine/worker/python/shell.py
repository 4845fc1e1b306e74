"""What get_ipython() returns: the part of IPython's shell that code on engines uses, without IPython."""

import sys

from . import display, interrupt, namespace

_shell = []


def instance():
    """Return the one shell."""
    if not _shell:
        _shell.append(Shell())
    return _shell[0]


class Kernel:
    """The engine as code on it knows it."""

    def __init__(self, shell):
        import json

        options = json.loads(namespace.hello.decode("utf-8"))
        self.shell = shell
        self.engine_id = options.get("engine_id", -1)
        self.ident = options.get("uuid", "")
        self.distributed_worker = self.dask_worker = None

    @property
    def int_id(self):
        return self.engine_id

    @property
    def log(self):
        import logging

        return logging.getLogger("ipcore.engine")


class Result:
    """The outcome of run_cell."""

    result = error_before_exec = error_in_exec = None

    @property
    def success(self):
        return self.error_in_exec is None and self.error_before_exec is None

    def raise_error(self):
        if self.error_in_exec is not None:
            raise self.error_in_exec


class Publisher:
    """display_pub and data_pub."""

    def publish(self, data, metadata=None, **kwargs):
        display.publish_display_data(data, metadata, **kwargs)

    def clear_output(self, wait=False):
        display.clear_output(wait)

    def publish_data(self, data):
        from . import canning

        canning.publish_data(data)


class Events:
    """Hooks around cells."""

    def __init__(self):
        self.callbacks = {}

    def register(self, event, function):
        self.callbacks.setdefault(event, []).append(function)

    def unregister(self, event, function):
        self.callbacks.get(event, []).remove(function)

    def trigger(self, event, *args):
        for function in list(self.callbacks.get(event, ())):
            function(*args)


class Shell:
    """The shell of an engine."""

    def __init__(self):
        self.user_module = namespace.user_module
        self.user_ns = self.user_global_ns = namespace.user_ns
        self.kernel = Kernel(self)
        self.display_pub = self.data_pub = Publisher()
        self.events = Events()
        self.execution_count = 1
        self.last_result = None
        self.config = {}
        self.magics = {"line": {}, "cell": {}}

    def __repr__(self):
        return "<shell of engine %s>" % self.kernel.engine_id

    def __getattr__(self, name):
        from . import ipython

        real = None if name.startswith("_") else ipython.start()
        if real is None:
            raise AttributeError("the shell of this engine has no %r: it is not a whole IPython shell" % name)
        return getattr(real, name)

    # Code

    def run_cell(self, raw_cell, store_history=False, silent=False, shell_futures=True, **kwargs):
        """Run source text. An error is shown, and kept in the result."""
        from . import cells, failure

        outcome = Result()

        def show(value):
            outcome.result = value
            namespace.remember_output(value, self.execution_count)
            data, metadata = display.bundle(value)
            if data:
                content = {"data": data, "metadata": metadata, "execution_count": self.execution_count}
                display.send("execute_result", content)

        try:
            cells.run(raw_cell, None if silent else show)
        except KeyboardInterrupt:
            raise
        except BaseException as e:
            outcome.error_in_exec = e
            sys.stdout.write("\n".join(failure.lines(e)) + "\n")
        self.last_result = outcome
        return outcome

    def ev(self, expression):
        """Evaluate an expression in the user's namespace."""
        return eval(expression, self.user_ns)

    def ex(self, source):
        """Run source text in the user's namespace."""
        exec(source, self.user_ns)

    def push(self, variables, interactive=True):
        """Bind variables in the user's namespace."""
        self.user_ns.update(variables)

    def drop_by_id(self, variables):
        """Remove variables that are still bound to the same objects."""
        for name, value in variables.items():
            if self.user_ns.get(name, self) is value:
                del self.user_ns[name]

    def del_var(self, name, by_name=False):
        """Remove a variable."""
        del self.user_ns[name]

    def reset(self, new_session=True, aggressive=False):
        """Empty the user's namespace."""
        namespace.reset()

    def transform_cell(self, source):
        """Return a cell as Python."""
        from . import syntax

        return syntax.transform(source)

    def showtraceback(self, *args, **kwargs):
        """Print the error that is being handled."""
        from . import failure

        error = sys.exc_info()[1]
        if error is not None:
            sys.stderr.write("\n".join(failure.lines(error)) + "\n")

    def set_next_input(self, text, replace=False):
        """Do nothing: an engine has no input line."""

    def enable_gui(self, gui=None):
        """Do nothing: an engine runs no event loop of a GUI."""

    def var_expand(self, text, depth=0, formatter=None):
        """Replace {expression} and $name in text."""
        from . import syntax

        return syntax.expand(text)

    # Magics

    def run_line_magic(self, magic_name, line, _stack_depth=1):
        """Run a line magic."""
        from . import magics

        return magics.run_line(self, magic_name, line)

    def run_cell_magic(self, magic_name, line, cell):
        """Run a cell magic."""
        from . import magics

        return magics.run_cell(self, magic_name, line, cell)

    def magic(self, text):
        """Run a line magic, given as one line."""
        name, _, line = text.lstrip("%").partition(" ")
        return self.run_line_magic(name, line)

    def find_line_magic(self, name):
        """Return the line magic of that name, or None."""
        from . import magics

        return magics.find(self, "line", name)

    def find_cell_magic(self, name):
        """Return the cell magic of that name, or None."""
        from . import magics

        return magics.find(self, "cell", name)

    find_magic = find_line_magic

    def register_magic_function(self, func, magic_kind="line", magic_name=None):
        """Make a function a magic."""
        for kind in ("line", "cell") if magic_kind == "line_cell" else (magic_kind,):
            self.magics[kind][magic_name or func.__name__] = func

    def system(self, command):
        """Run a shell command; its output is the engine's."""
        from . import magics

        self.user_ns["_exit_code"] = magics.system(command)

    def getoutput(self, command, split=True, depth=0):
        """Run a shell command; return the lines it printed."""
        from . import magics

        return magics.getoutput(command, split)
