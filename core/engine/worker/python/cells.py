"""Running a cell: parse, run the statements, show the value of the last expression."""

import _ast
import sys

from . import display, failure, interrupt, namespace

_AWAIT = 0x2000  # ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
_FLAGS = _ast.PyCF_ONLY_AST | _AWAIT
_COROUTINE = 0x80 | 0x200  # CO_COROUTINE, CO_ASYNC_GENERATOR

_COMMANDS = {"cd", "ls", "cat", "mkdir", "run"}

_future = 0  # flags of the __future__ statements that ran so far
_kept = []  # file names of cells whose text linecache holds, oldest first
_KEEP = 4096
_names = 0


def _future_flags(source, code):
    global _future
    if "__future__" in source:
        import __future__

        for name in __future__.all_feature_names:
            flag = getattr(__future__, name).compiler_flag
            if code.co_flags & flag:
                _future |= flag


def _remember_source(name, source):
    """Let tracebacks and inspect find the text of a cell. Return its file name."""
    global _names
    import linecache

    filename = "<cell %s>" % name
    while filename in linecache.cache:
        _names += 1
        filename = "<cell %s-%d>" % (name, _names)
    linecache.cache[filename] = (len(source), None, [line + "\n" for line in source.split("\n")], filename)
    _kept.append(filename)
    if len(_kept) > _KEEP:
        linecache.cache.pop(_kept.pop(0), None)
    return filename


def parse(source, filename):
    """Return the syntax tree and the source as Python. Only a cell that is not Python is looked at for magics."""
    try:
        if source.partition(" ")[0] in _COMMANDS:  # `cd /tmp` is a division
            from . import syntax

            source = syntax.transform(source)
        return compile(source, filename, "exec", _FLAGS | _future, True), source
    except SyntaxError as e:
        from . import syntax

        changed = syntax.transform(source)
        if changed == source:
            raise
        try:
            return compile(changed, filename, "exec", _FLAGS | _future, True), changed
        except SyntaxError:
            raise e from None


def _quiet(source, last):
    """Report whether a semicolon follows the last expression."""
    lines = source.encode("utf-8", "surrogatepass").split(b"\n")
    rest = lines[last.end_lineno - 1][last.end_col_offset :]
    return rest.lstrip().startswith(b";")


def _run(code):
    """Run a code object in the user's namespace. Return its value."""
    before = interrupt.enter(interrupt.USER)
    try:
        if code.co_flags & _COROUTINE:
            return _wait(eval(code, namespace.user_ns))
        return eval(code, namespace.user_ns)
    finally:
        interrupt.leave(before)


_loop = []


def _wait(coroutine):
    """Run a coroutine on the one loop that all cells share."""
    import asyncio

    if not _loop or _loop[0].is_closed():
        _loop[:] = [asyncio.new_event_loop()]
    loop = _loop[0]
    asyncio.set_event_loop(loop)
    task = loop.create_task(coroutine)
    try:
        return loop.run_until_complete(task)
    except BaseException:
        if not task.done():  # interrupted: let the task unwind
            before = interrupt.enter(interrupt.BUSY)
            try:
                task.cancel()
                loop.run_until_complete(asyncio.wait([task], timeout=5))
            finally:
                interrupt.leave(before)
        raise


def run(source, show=None, name="silent"):
    """Run a cell. Pass the value of its last expression to show, unless a semicolon follows it."""
    filename = _remember_source(name, source)
    tree, python = parse(source, filename)
    body = tree.body
    last = body.pop() if body and show is not None and isinstance(body[-1], _ast.Expr) else None
    flags = _AWAIT | _future
    if body:
        module = _ast.Module(body=body, type_ignores=[])
        code = compile(module, filename, "exec", flags, True)
        _future_flags(source, code)
        _run(code)
    if last is not None:
        value = _run(compile(_ast.Expression(body=last.value), filename, "eval", _AWAIT | _future, True))
        if value is not None and not _quiet(python, last):
            show(value)


def execute(source, count, silent, store):
    """Run the code of an execute request."""
    from . import ipython

    if ipython.current() is not None:
        ipython.execute(source, count, silent, store)
        return

    def show(value):
        hook = sys.displayhook
        if hook is not sys.__displayhook__ and hook is not None:
            before = interrupt.enter(interrupt.USER)
            try:
                hook(value)
            finally:
                interrupt.leave(before)
            return
        if store:
            namespace.remember_output(value, count)
        data, metadata = display.bundle(value)
        if data:
            display.send("execute_result", {"data": data, "metadata": metadata, "execution_count": count})

    if store:
        namespace.remember_input(source, count)
    run(source, None if silent else show, "silent" if silent else count)


def evaluate(expressions):
    """Return the user_expressions of a reply."""
    results = {}
    for name, expression in expressions.items():
        try:
            value = _run(compile(expression, "<user_expressions>", "eval", _future, True))
            data, metadata = display.bundle(value)
            results[name] = {"status": "ok", "data": data, "metadata": metadata}
        except BaseException as e:
            results[name] = {
                "status": "error",
                "ename": failure.name(e),
                "evalue": failure.value(e),
                "traceback": failure.lines(e),
            }
    return results
