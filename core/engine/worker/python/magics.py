"""The magics that work on engines: % and %% magics, ! commands, ? help."""

import os
import sys

from . import namespace, streams, syntax


class UsageError(Exception):
    """A magic was used wrongly or does not exist."""

    __module__ = "ipcore"


# Commands


def _wait(process):
    try:
        return process.wait()
    except KeyboardInterrupt:
        import signal

        process.send_signal(signal.SIGINT)
        try:
            process.wait(2)
        except Exception:
            process.kill()
            process.wait()
        raise


def system(command):
    """Run a shell command with the engine's output. Return its exit status."""
    import subprocess

    streams.flush()
    return _wait(subprocess.Popen(syntax.expand(command), shell=True, stdin=subprocess.DEVNULL))


class Lines(list):
    """Lines of output: .l as a list, .n as one text, .s as words."""

    l = property(list)
    n = property("\n".join)
    s = property(" ".join)
    nlstr, spstr = n, s


def getoutput(command, split=True):
    """Run a shell command. Return what it printed."""
    import subprocess

    process = subprocess.Popen(
        syntax.expand(command), shell=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    with process.stdout:
        try:
            text = process.stdout.read().decode("utf-8", "replace")
        except KeyboardInterrupt:
            process.kill()
            process.wait()
            raise
    namespace.user_ns["_exit_code"] = process.wait()
    return Lines(text.splitlines()) if split else text


# Line magics


def _cd(shell, line):
    line = line.strip().strip("'\"")
    quiet = line.startswith("-q")
    if quiet:
        line = line[2:].strip()
    visited = shell.user_ns.get("_dh") or [os.getcwd()]
    if line == "-":
        if len(visited) < 2:
            raise UsageError("%cd -: no directory before this one")
        line = visited[-2]
    target = os.path.expanduser(line or "~")
    os.chdir(target)
    visited.append(os.getcwd())
    if not quiet:
        print(os.getcwd())


def _pwd(shell, line):
    return os.getcwd()


def _env(shell, line):
    line = line.strip()
    if not line:
        return dict(os.environ)
    name, found, value = line.partition("=")
    if not found:
        name, found, value = line.partition(" ")
    name = name.strip()
    if found:
        os.environ[name] = syntax.expand(value.strip())
        print("env: %s=%s" % (name, os.environ[name]))
        return None
    if name not in os.environ:
        raise UsageError("Environment does not have key: %s" % name)
    return os.environ[name]


def _run(shell, line):
    import shlex

    words = shlex.split(syntax.expand(line))
    interactive = False
    while words and words[0].startswith("-") and len(words[0]) == 2:
        interactive = interactive or words[0] == "-i"
        words.pop(0)
    if not words:
        raise UsageError("%run needs the path of a file")
    path = os.path.expanduser(words[0])
    if not os.path.exists(path) and os.path.exists(path + ".py"):
        path += ".py"
    with open(path, "rb") as f:
        code = compile(f.read(), path, "exec", 0, True)
    ns = shell.user_ns if interactive else {"__builtins__": __builtins__}
    kept = {name: shell.user_ns.get(name) for name in ("__name__", "__file__")}
    argv, first = sys.argv, sys.path[0]
    sys.argv, sys.path[0] = [path] + words[1:], os.path.dirname(os.path.abspath(path))
    ns.update(__name__="__main__", __file__=path)
    try:
        exec(code, ns)
    except SystemExit as e:
        if e.code not in (None, 0):
            raise
    finally:
        sys.argv, sys.path[0] = argv, first
        for name in ("__builtins__", "__file__", "__name__"):
            ns.pop(name, None) if ns is not shell.user_ns else None
        shell.user_ns.update(ns)
        shell.user_ns["__name__"] = kept["__name__"]
        if kept["__file__"] is None:
            shell.user_ns.pop("__file__", None)


def _span(seconds):
    for unit, size in (("s", 1), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return "%.3g %s" % (seconds / size, unit)
    return "%.3g ns" % (seconds / 1e-9)


def _time(shell, line, cell=None):
    import time

    from . import cells

    source = syntax.expand(line) if cell is None else cell
    values = []
    start, cpu = time.perf_counter(), os.times()
    try:
        cells.run(source, values.append)
    finally:
        wall, used = time.perf_counter() - start, os.times()
        user, system = used[0] - cpu[0], used[1] - cpu[1]
        print("CPU times: user %s, sys: %s, total: %s" % (_span(user), _span(system), _span(user + system)))
        print("Wall time: %s" % _span(wall))
    return values[0] if values else None


def _timeit(shell, line, cell=None):
    import timeit

    number, repeat = 0, 7
    words = line.split(" ")
    while words and len(words[0]) > 1 and words[0][0] == "-" and words[0][1] in "nrqo":
        option = words.pop(0)
        if option[1] in "nr":
            value = int(option[2:] or words.pop(0))
            number, repeat = (value, repeat) if option[1] == "n" else (number, value)
    line = " ".join(words)
    setup, statement = ("pass", line) if cell is None else (line or "pass", cell)
    timer = timeit.Timer(statement, setup, globals=shell.user_ns)
    if not number:
        number = timer.autorange()[0]
    runs = [t / number for t in timer.repeat(repeat, number)]
    mean = sum(runs) / len(runs)
    deviation = (sum((t - mean) ** 2 for t in runs) / len(runs)) ** 0.5
    loops = "%s ± %s per loop (mean ± std. dev. of %d runs, %d loops each)"
    print(loops % (_span(mean), _span(deviation), repeat, number))


def _reset(shell, line):
    shell.reset()


def _matplotlib(shell, line):
    name = line.strip() or "agg"
    if name in ("inline", "agg", "--list"):
        name = "agg"
    os.environ.setdefault("MPLBACKEND", name)
    if "matplotlib" in sys.modules:
        sys.modules["matplotlib"].use(name)


def _who(shell):
    hidden = {"In", "Out", "get_ipython", "exit", "quit"}
    return sorted(n for n in shell.user_ns if not n.startswith("_") and n not in hidden)


def _who_ls(shell, line):
    return _who(shell)


def _print_who(shell, line):
    print("\t ".join(_who(shell)) or "Interactive namespace is empty.")


def _whos(shell, line):
    rows = [(n, type(shell.user_ns[n]).__name__, repr(shell.user_ns[n])[:60]) for n in _who(shell)]
    if not rows:
        print("Interactive namespace is empty.")
        return
    rows.insert(0, ("Variable", "Type", "Data/Info"))
    wide = [max(len(r[i]) for r in rows) + 3 for i in (0, 1)]
    for i, row in enumerate(rows):
        print(row[0].ljust(wide[0]) + row[1].ljust(wide[1]) + row[2])
        if i == 0:
            print("-" * (sum(wide) + 9))


def _pinfo(shell, line, detail=0):
    from . import jupyter

    try:
        value = eval(line.lstrip("%"), shell.user_ns)
    except Exception:
        print("Object `%s` not found." % line)
        return
    print(jupyter.describe(value, detail))


def _pinfo2(shell, line):
    _pinfo(shell, line, 1)


def _command(name):
    def run(shell, line):
        system("%s %s" % (name, line))

    return run


def _system(shell, line):
    return getoutput(line)


def _nothing(shell, line):
    """Do nothing: the setting of a terminal or of IPython has no effect on an engine."""


# Cell magics


def _script(program):
    def run(shell, line, cell):
        import shlex
        import subprocess

        words = ([program] if program else []) + shlex.split(line)
        if not words:
            raise UsageError("%%script needs a program")
        streams.flush()
        process = subprocess.Popen(words, stdin=subprocess.PIPE)
        try:
            with process.stdin as pipe:
                pipe.write(cell.encode("utf-8"))
        except BrokenPipeError:
            pass
        status = _wait(process)
        if status:
            raise subprocess.CalledProcessError(status, words[0])

    return run


def _writefile(shell, line, cell):
    words = line.split()
    append = "-a" in words
    path = os.path.expanduser([w for w in words if w != "-a"][0])
    print("%s %s" % ("Appending to" if append else "Overwriting" if os.path.exists(path) else "Writing", path))
    with open(path, "a" if append else "w", encoding="utf-8") as f:
        f.write(cell)


class Captured:
    """What %%capture kept."""

    def __init__(self, out, err):
        self.stdout, self.stderr = out, err

    def __str__(self):
        return self.stdout

    def show(self):
        sys.stdout.write(self.stdout)
        sys.stderr.write(self.stderr)

    __call__ = show


def _capture(shell, line, cell):
    import io

    from . import cells

    kept = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = io.StringIO(), io.StringIO()
    try:
        cells.run(cell)
    finally:
        captured = Captured(sys.stdout.getvalue(), sys.stderr.getvalue())
        sys.stdout, sys.stderr = kept
        if line.strip() and line.split()[-1].isidentifier():
            shell.user_ns[line.split()[-1]] = captured


_LINE = {
    "cd": _cd,
    "pwd": _pwd,
    "env": _env,
    "set_env": _env,
    "run": _run,
    "time": _time,
    "timeit": _timeit,
    "reset": _reset,
    "reset_selective": _nothing,
    "matplotlib": _matplotlib,
    "who": _print_who,
    "who_ls": _who_ls,
    "whos": _whos,
    "pinfo": _pinfo,
    "pinfo2": _pinfo2,
    "ls": _command("ls"),
    "cat": _command("cat"),
    "mkdir": _command("mkdir"),
    "system": _system,
    "sx": _system,
    "colors": _nothing,
    "xmode": _nothing,
    "gui": _nothing,
    "automagic": _nothing,
}
_CELL = {
    "time": _time,
    "timeit": _timeit,
    "capture": _capture,
    "writefile": _writefile,
    "bash": _script("bash"),
    "sh": _script("sh"),
    "perl": _script("perl"),
    "ruby": _script("ruby"),
    "python": _script(sys.executable or "python3"),
    "python3": _script(sys.executable or "python3"),
    "script": _script(None),
}


def find(shell, kind, name):
    """Return the magic of that kind and name as a function of its text, or None."""
    function = shell.magics[kind].get(name)
    if function is not None:
        return function
    own = (_LINE if kind == "line" else _CELL).get(name)
    if own is None:
        return None
    return lambda *text: own(shell, *text)


def run_line(shell, name, line):
    """Run a line magic."""
    function = find(shell, "line", name)
    if function is None:
        from . import ipython

        real = ipython.start()
        if real is not None:
            return real.run_line_magic(name, line)
        raise UsageError("Line magic function `%%%s` not found." % name)
    return function(line)


def run_cell(shell, name, line, cell):
    """Run a cell magic."""
    function = find(shell, "cell", name)
    if function is None:
        from . import ipython

        real = ipython.start()
        if real is not None:
            return real.run_cell_magic(name, line, cell)
        raise UsageError("Cell magic `%%%%%s` not found." % name)
    return function(line, cell)
