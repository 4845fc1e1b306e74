"""What the real client sends: run by an interpreter that has ipyparallel, against a worker of any interpreter.

    python operations.py <worker python> <blocked 0|1> <same 0|1>

Prints one JSON line for each operation: name, and what went wrong or null. "same" tells that both are the same version of
Python; without it only the operations that ship no code of the user are run.
"""

import functools
import json
import os
import sys
import time
import traceback
import types

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import ipyparallel
from ipyparallel import Reference, depend, require
from ipyparallel.client import remotefunction, view
from ipyparallel.controller.dependency import dependent
from ipyparallel.serialize import canning, deserialize_object, pack_apply_message, serialize_object
from ipyparallel.util import _pull, _push

from tests import harness

try:
    import numpy
except ImportError:
    numpy = None
try:
    import cloudpickle
except ImportError:
    cloudpickle = None

OPERATIONS = []


def operation(f=None, code=True):
    """Register an operation. code tells that it ships byte code of the user."""
    if f is None:
        return functools.partial(operation, code=code)
    OPERATIONS.append((f.__name__, f, code))
    return f


class RemoteError(Exception):
    """An error reply."""

    def __init__(self, reply):
        super().__init__("%s: %s\n%s" % (reply.ename, reply.evalue, "\n".join(reply.traceback)))
        self.ename, self.reply = reply.ename, reply


class View:
    """The part of a client's view that packs requests and unpacks results."""

    def __init__(self, worker):
        self.worker = worker
        self.last = None

    def result(self, reply):
        self.last = reply
        if reply.status != "ok":
            raise RemoteError(reply)
        value, rest = deserialize_object(reply.parts)
        assert not rest, "buffers left over"
        return value

    def request(*args, **kwargs):
        self, f, *args = args
        return [bytes(b) if not isinstance(b, bytes) else b for b in pack_apply_message(f, args, kwargs)]

    def apply(*args, **kwargs):
        self, f, *args = args
        return self.result(self.worker.apply(self.request(f, *args, **kwargs)))

    def push(self, **values):
        return self.apply(_push, **values)

    def pull(self, names):
        return self.apply(_pull, names)

    def map(self, f, *sequences):
        return self.apply(remotefunction._map, f, *sequences)

    def execute(self, code, **kwargs):
        reply = self.worker.execute(code, **kwargs)
        self.last = reply
        if reply.status != "ok":
            raise RemoteError(reply)
        return reply

    def fails(self, ename, f, *args, **kwargs):
        try:
            value = f(*args, **kwargs)
        except RemoteError as e:
            assert e.ename == ename, "%s instead of %s: %s" % (e.ename, ename, e)
            assert "Traceback (most recent call last)" in "\n".join(e.reply.traceback)
            return e.reply
        raise AssertionError("%s expected, got %r" % (ename, value))


def has_numpy(v):
    """Report whether both ends have NumPy, and the client can read what the engine's pickles."""
    if numpy is None or not v.worker.about["packages"]["numpy"]:
        return False
    theirs = int(v.pull("__import__('numpy').__version__").partition(".")[0])
    return theirs <= int(numpy.__version__.partition(".")[0])  # NumPy 1 does not know the module names of NumPy 2


def same(a, b):
    assert a == b and type(a) is type(b), "%r is not %r" % (a, b)


# Functions


@operation
def apply_function(v):
    def f(a, b=2, *args, c=3, **kwargs):
        return a, b, args, c, kwargs

    f.__module__ = "__main__"
    same(v.apply(f, 1), (1, 2, (), 3, {}))
    same(v.apply(f, 1, 5, 6, c=7, d=8), (1, 5, (6,), 7, {"d": 8}))


@operation
def apply_lambda_and_closure(v):
    n = 7
    f = lambda x: x + n  # noqa: E731
    f.__module__ = "__main__"
    same(v.apply(f, 1), 8)

    def outer():
        k = [1]

        def inner(x):
            k.append(x)
            return k

        inner.__module__ = "__main__"
        return inner

    same(v.apply(outer(), 2), [1, 2])


@operation(code=False)
def apply_builtins_and_methods(v):
    same(v.apply(os.getpid), v.worker.process.pid)
    same(v.apply(sum, [1, 2, 3]), 6)
    same(v.apply("a-b".split, "-"), ["a", "b"])
    same(v.apply(functools.partial(pow, 2), 5), 32)
    same(v.apply(time.sleep, 0), None)


@operation
def function_globals_are_the_namespace(v):
    v.push(g_value=11)

    def f():
        global made_here
        made_here = g_value + 1  # noqa: F821
        return made_here

    f.__module__ = "__main__"
    same(v.apply(f), 12)
    same(v.pull("made_here"), 12)


@operation
def function_of_a_module(v):
    def f(p):
        return join(p, "b")  # noqa: F821

    f.__module__ = "posixpath"
    same(v.apply(f, "a"), "a/b")
    f.__module__ = "no_such_module_here"
    v.fails("ModuleNotFoundError", v.apply, f, "a")


@operation
def partial_with_buffers(v):
    def f(a, b, c=None, d=None):
        return len(a), len(b), len(c), d

    f.__module__ = "__main__"
    p = functools.partial(f, b"x" * 2000, c=b"y" * 3000)
    same(v.apply(p, b"z" * 10, d=b"w" * 5000), (2000, 10, 3000, b"w" * 5000))


@operation
def functions_as_arguments_and_results(v):
    def twice(f):
        return [f, lambda x: f(f(x))]

    twice.__module__ = "__main__"

    def inc(x):
        return x + 1

    inc.__module__ = "__main__"
    first, second = v.apply(twice, inc)
    same(first(1), 2)
    same(second(1), 3)
    kept = v.apply(twice, inc)[0]
    same(v.apply(kept, 4), 5)


@operation
def annotations_defaults_recursion(v):
    def fact(n: int = 5, *, deep: "str" = "x") -> int:
        return 1 if n < 2 else n * fact_by_name(n - 1)  # noqa: F821

    fact.__module__ = "__main__"
    v.push(fact_by_name=fact)
    same(v.apply(fact), 120)
    same(sorted(v.pull("fact_by_name.__annotations__")), ["deep", "n", "return"])


@operation
def generators_and_coroutines(v):
    def f():
        async def g():
            return [x async for x in h()]

        async def h():
            yield 1
            yield 2

        import asyncio

        return asyncio.new_event_loop().run_until_complete(g()), [x for x in (y * y for y in range(4))]

    f.__module__ = "__main__"
    same(v.apply(f), ([1, 2], [0, 1, 4, 9]))


# Data


@operation(code=False)
def data_both_ways(v):
    for value in (
        None,
        1,
        -(2**80),
        1.5,
        "é\ud800",
        b"",
        b"x" * 1024,
        b"x" * 1025,
        b"x" * 3000000,
        bytearray(b"abc"),
        [],
        [b"a" * 2000, 1, b"b" * 2000],
        (b"a" * 2000,),
        {"b": b"b" * 2000, "a": b"a" * 1500},
        {1, 2},
        [{"x": b"q" * 2000}],
        list(range(1000)),
        {i: b"z" * 1100 for i in range(100)},
        [[1, [2, (3, {4: 5})]]] * 3,
        slice(1, 2),
        range(5),
        int,
        Ellipsis,
        frozenset([1]),
        2j,
    ):
        v.push(value=value)
        same(v.pull("value"), value)
    v.push(value=memoryview(b"m" * 5000))
    assert v.pull("value").tobytes() == b"m" * 5000
    v.push(value=memoryview(b"m" * 50))
    assert v.pull("value").tobytes() == b"m" * 50
    same(v.pull("type(value).__name__"), "memoryview")
    same(v.pull(["1", "b'q' * 3000", "[b'r' * 3000]"])[1:], [b"q" * 3000, [b"r" * 3000]])


@operation(code=False)
def push_pull_names(v):
    v.execute("class O: pass\no = O(); l = [1, 2]")
    v.push(**{"o.x": 5, "l[0]": 6})
    same(v.pull("o.x, l"), (5, [6, 2]))
    same(v.pull(("o.x", "l[1]")), [5, 2])
    same(v.pull({"o.x"}), [5])
    v.fails("NameError", v.pull, "not_there")
    v.fails("SyntaxError", v.pull, "1 +")
    same(v.pull("[n for n in globals() if 'pushed' in n or 'TMP' in n]"), [])


@operation(code=False)
def mixed_keys(v):
    v.fails("TypeError", v.pull, "{1: 1, 'a': 2}")  # the client sorts the keys of small dicts
    same(len(v.pull("dict([(1, 1), ('a', 2)] + [(i, i) for i in range(5, 90)])")), 87)


@operation(code=False)
def arrays(v):
    if not has_numpy(v):
        return
    N = numpy
    for a in (
        N.arange(10),
        N.arange(1000.0).reshape(10, 100),
        N.array(5),
        N.zeros((0, 3)),
        N.zeros(0),
        N.array([None, "a", 1], dtype=object),
        N.array([(1, 2.0), (3, 4.0)] * 200, dtype=[("a", "i4"), ("b", "f8")]),
        N.asfortranarray(N.arange(600.0).reshape(20, 30)),
        N.arange(4000)[::2],
        N.array(["ab", "c"] * 500),
        N.array([True, False] * 700),
        N.arange(600).astype(">i4"),
        N.arange(1000, dtype="c16"),
    ):
        v.push(a=a)
        b = v.pull("a")
        assert b.shape == a.shape and b.dtype == a.dtype, (a.dtype, b.dtype)
        assert (b == a).all()
        assert v.pull("a.tolist()") == a.tolist()
    v.push(a=N.arange(10), b=N.arange(1000), c=[N.arange(1000)], d=N.zeros(300000))
    same(v.pull("[x.flags.writeable for x in (a, b, c[0], d)]"), [False, True, True, True])
    for text in (
        "N.array(['2020-01-01'], dtype='M8[D]')",
        "N.arange(500).astype('m8[s]')",
        "N.zeros(300, dtype=N.dtype([('a', 'i1'), ('b', 'i8')], align=True))",
        "N.ma.array([1, 2], mask=[0, 1])",
        "N.float64(3)",
        "N.dtype('i4')",
        "N.arange(2000).reshape(40, 50).T",
    ):
        v.execute("import numpy as N\nr = %s" % text)
        b, expected = v.pull("r"), eval(text, {"N": N})
        assert type(b) is type(expected), (text, b)
        if hasattr(b, "tolist"):
            same(b.tolist(), expected.tolist())
        if hasattr(expected, "dtype"):
            assert b.dtype == expected.dtype, (b.dtype, expected.dtype)


@operation(code=False)
def scatter_and_gather(v):
    for part in ([1, 2], range(3), "ab") + ((numpy.arange(5000),) if has_numpy(v) else ()):
        v.push(part=part)
        got = v.pull("part")
        assert list(got) == list(part)


@operation
def classes(v):
    module = types.ModuleType("__main__")
    source = (
        "class Base:\n    def hi(self): return 'hi ' + self.name\n"
        "class Point(Base):\n    kind = 'p'\n    def __init__(self, x): self.x = x; self.name = str(x)\n"
        "    def __eq__(self, o): return self.x == o.x\n"
    )
    kept = sys.modules["__main__"]
    sys.modules["__main__"] = module
    try:
        exec(compile(source, "<client>", "exec"), module.__dict__)
        v.push(Base=module.Base)
        v.push(Point=module.Point)
        v.push(p=module.Point(4))
        same(v.pull("p.hi(), p.kind, type(p) is Point, Point.__module__"), ("hi 4", "p", True, "__main__"))
        assert v.pull("p") == module.Point(4)
        cls = v.pull("Point")
        same(cls(5).hi(), "hi 5")
        same(v.apply(Reference("Point"), 3).x, 3)
        v.execute("class Here:\n    def f(self): return 6")
        same(v.pull("Here")().f(), 6)
    finally:
        sys.modules["__main__"] = kept


@operation(code=False)
def references(v):
    v.push(q=5)
    same(v.apply(abs, Reference("q - 10")), 5)
    same(v.apply(Reference("lambda x: x + q"), 1), 6)
    same(v.apply(max, [Reference("q"), 3]), 5)
    same(v.apply(dict, a=Reference("q")), {"a": 5})
    v.fails("NameError", v.apply, abs, Reference("not_there"))
    v.push(r=Reference("q"))
    same(v.pull("r"), 5)


# Helpers


@operation
def maps(v):
    f = lambda x, y=0: x**2 + y  # noqa: E731
    f.__module__ = "__main__"
    same(v.map(f, range(5)), [0, 1, 4, 9, 16])
    same(v.map(f, [1, 2], [3, 4]), [4, 8])


@operation(code=False)
def map_builtins(v):
    same(v.map(abs, [-1, 2]), [1, 2])
    v.execute("def named(x): return x * 3")
    same(v.map(Reference("named"), [1, 2]), [3, 6])


@operation(code=False)
def broadcast_map(v):
    cls = getattr(view, "BroadcastView", None)
    helper = getattr(cls, "_broadcast_map", None)
    if helper is None:
        return
    v.push(_seq_x_0=[1, -2], _seq_x_1=[3, 4])
    same(v.apply(helper, abs, "_seq_x_0"), [1, 2])
    v.fails("KeyError", v.apply, helper, abs, "_seq_x_0")


@operation
def dependencies(v):
    def f():
        return 1

    f.__module__ = "__main__"

    def yes():
        return True

    def no():
        return False

    def zero():
        return 0

    def fail():
        raise LookupError("d")

    for g in (yes, no, zero, fail):
        g.__module__ = "__main__"
    same(v.apply(depend(yes)(f)), 1)
    same(v.apply(depend(zero)(f)), 1)
    reply = v.fails("UnmetDependency", v.apply, depend(no)(f))
    same(reply.flags, {"dependencies_met": False})
    same(v.fails("LookupError", v.apply, depend(fail)(f)).flags, {})


@operation
def requirements(v):
    def f(x):
        return wrap.dedent(x), helper(x), blob  # noqa: F821

    f.__module__ = "__main__"

    def helper(x):
        return len(x)

    helper.__module__ = "__main__"
    v.execute("import textwrap as wrap")
    same(v.apply(require("textwrap", helper, blob=b"b")(f), "  a"), ("a", 3, b"b"))
    reply = v.fails("UnmetDependency", v.apply, require("no_such_module_here")(f), "a")
    same(reply.flags, {"dependencies_met": False})


@operation(code=False)
def require_module_only(v):
    same(v.apply(require("colorsys")(abs), -1), 1)
    same(v.pull("colorsys.__name__"), "colorsys")
    v.fails("UnmetDependency", v.apply, require("no_such_module_here")(abs), -1)


def remote_import():
    """Find the function that sync_imports ships: it lives inside that method."""
    f = view.DirectView.sync_imports
    f = getattr(f, "__wrapped__", f)

    def search(code):
        for const in code.co_consts:
            if isinstance(const, types.CodeType):
                if const.co_name == "remote_import":
                    return const
                found = search(const)
                if found:
                    return found

    while hasattr(f, "__wrapped__"):
        f = f.__wrapped__
    code = search(f.__code__)
    assert code is not None
    g = types.FunctionType(code, {}, "remote_import")
    g.__module__ = "__main__"
    return g


@operation(code=False)
def sync_imports(v):
    f = remote_import()
    same(v.apply(f, "json.decoder", [], 0), None)
    v.apply(f, "json", [], 0)
    v.apply(f, "collections", ["OrderedDict", "deque"], 0)
    same(v.pull("json.__name__, OrderedDict.__name__, deque.__name__"), ("json", "OrderedDict", "deque"))
    v.fails("ModuleNotFoundError", v.apply, f, "no_such_module_here", [], 0)


@operation
def serializers(v):
    def outer(n):
        def f(x):
            return x + n

        return f

    there = v.worker.about["packages"]["cloudpickle"]
    if there and cloudpickle is not None:
        # Releases of cloudpickle do not read each other's pickles.
        there = v.pull("__import__('cloudpickle').__version__") == cloudpickle.__version__
    if there and cloudpickle is not None:
        v.apply(canning.use_cloudpickle)
        canning.use_cloudpickle()
        try:
            f = outer(3)
            f.__module__ = "__main__"
            same(v.apply(f, 4), 7)
            v.push(k=b"k" * 3000, f=f)
            same(v.pull("f(1), k"), (4, b"k" * 3000))
            got = v.pull("f")
            same(got(5), 8)
            same(v.pull("[b'k' * 3000, lambda: 5]")[1](), 5)
            same(v.map(f, [1, 2]), [4, 5])
            v.execute("class Local: pass\nlocal = Local()")
            assert type(v.pull("local")).__name__ == "Local"
            if has_numpy(v):
                assert (v.apply(numpy.arange, 3000) == numpy.arange(3000)).all()
            same(v.apply(require("colorsys")(abs), -3), 3)
            same(v.apply(Reference("f"), 1), 4)
            helper = getattr(getattr(view, "BroadcastView", None), "_broadcast_map", None)
            if helper is not None:
                v.push(_seq=[1, 2])
                same(v.apply(helper, f, "_seq"), [4, 5])
        finally:
            canning.use_pickle()
            v.apply(canning.use_pickle)
        same(v.apply(outer_main(2), 1), 3)
    elif not v.worker.about["packages"]["cloudpickle"]:
        v.fails("ModuleNotFoundError", v.apply, canning.use_cloudpickle)
    if not v.worker.about["packages"]["dill"]:
        v.fails("ModuleNotFoundError", v.apply, canning.use_dill)


def outer_main(n):
    def f(x):
        return x + n

    f.__module__ = "__main__"
    return f


@operation
def names_inside_functions(v):
    def f():
        import ipyparallel
        from ipyparallel import Reference, error, interactive
        from ipyparallel.error import UnmetDependency

        return (
            ipyparallel.__version__,
            repr(Reference("x")),
            interactive(len.__class__ and (lambda: 1)).__module__,
            error.UnmetDependency is UnmetDependency,
        )

    f.__module__ = "__main__"
    version, text, module, is_same = v.apply(f)
    assert version and text == "<Reference: 'x'>" and module == "__main__" and is_same

    def unmet():
        from ipyparallel.error import UnmetDependency

        raise UnmetDependency("u")

    unmet.__module__ = "__main__"
    same(v.fails("UnmetDependency", v.apply, unmet).flags, {"dependencies_met": False})

    def made():
        from ipyparallel import Reference
        from ipyparallel.error import TaskAborted

        return Reference("abc"), TaskAborted("t")

    made.__module__ = "__main__"
    reply = v.worker.apply(v.request(made))
    same(reply.status, "ok")
    got = deserialize_object(reply.parts, {"abc": 9})[0]  # the client resolves a Reference where it unpacks it
    same(got[0], 9)
    same((type(got[1]), got[1].args), (ipyparallel.error.TaskAborted, ("t",)))

    def shell():
        from IPython import get_ipython as other

        return other().user_ns is globals(), get_ipython() is other()  # noqa: F821

    shell.__module__ = "__main__"
    same(v.apply(shell), (True, True))

    def custom():
        from ipyparallel.serialize import can_map

        class Odd:
            pass

        can_map[Odd] = lambda obj: "canned odd"
        return Odd()

    custom.__module__ = "__main__"
    same(v.apply(custom), "canned odd")


@operation
def stays_itself_after_real_imports(v):
    def f():
        import ipyparallel.serialize
        from ipyparallel import depend, interactive

        return ipyparallel.serialize.__name__

    f.__module__ = "__main__"
    same(v.apply(f), "ipyparallel.serialize")
    apply_function(v)
    partial_with_buffers(v)
    data_both_ways(v)
    functions_as_arguments_and_results(v)
    arrays(v)
    references(v)
    requirements(v)
    maps(v)
    classes(v)


@operation
def published_data(v):
    def f():
        from ipyparallel.datapub import publish_data
        from ipyparallel.engine.datapub import publish_data as other

        publish_data({"a": 1, "b": b"x" * 2000})
        other({"c": [1]})

    f.__module__ = "__main__"
    v.apply(f)
    kinds = [(d[0], d[1], d[2]) for d in v.last.data]
    same(kinds, [("data_message", v.last.msg_id, {"keys": ["a", "b"]}), ("data_message", v.last.msg_id, {"keys": ["c"]})])
    same(deserialize_object(v.last.data[0][3])[0], {"a": 1, "b": b"x" * 2000})


@operation
def displayed(v):
    def f():
        from IPython.display import HTML, Image, display, publish_display_data

        display(HTML("<b>"))
        publish_display_data({"text/plain": "p"})
        return None

    f.__module__ = "__main__"
    v.apply(f)
    same([d[0] for d in v.last.data], ["display_data", "display_data"])
    same(v.last.data[0][2]["data"]["text/html"], "<b>")


# Errors


@operation
def errors(v):
    def f(x):
        return 1 / x

    f.__module__ = "__main__"
    reply = v.fails("ZeroDivisionError", v.apply, f, 0)
    same(reply.evalue, "division by zero")
    same([line for line in reply.traceback if "ipcore" in line], [])

    def unpicklable():
        return threading_lock()  # noqa: F821

    unpicklable.__module__ = "__main__"
    v.execute("import threading; threading_lock = threading.Lock")
    v.fails("TypeError", v.apply, unpicklable)

    def local():
        class Local:
            pass

        return Local()

    local.__module__ = "__main__"
    try:
        v.apply(local)
    except RemoteError as e:
        assert e.ename in ("AttributeError", "PicklingError"), e
    else:
        raise AssertionError("a local class was pickled")

    def bad_text():
        class E(Exception):
            def __str__(self):
                raise RuntimeError

        raise E

    bad_text.__module__ = "__main__"
    v.fails("E", v.apply, bad_text)

    def leave():
        raise SystemExit(4)

    leave.__module__ = "__main__"
    v.fails("SystemExit", v.apply, leave)

    def reduce_fails():
        class R:
            def __reduce__(self):
                raise KeyboardInterrupt

        return R()

    reduce_fails.__module__ = "__main__"
    v.fails("KeyboardInterrupt", v.apply, reduce_fails)


def foreign_functions(v):
    """Functions compiled by another Python than the worker's are refused by name, and nothing crashes."""

    def loop(n):
        total = 0
        for i in range(n):
            total += i
        return total

    def call(x):
        return abs(x)

    def closure(n):
        return lambda x: x + n

    def tries():
        try:
            return int("x")
        except ValueError:
            return 0

    for f, args in ((loop, (3,)), (call, (-1,)), (closure, (1,)), (tries, ()), (lambda: None, ())):
        f.__module__ = "__main__"
        reply = v.fails("PythonVersionMismatch", v.apply, f, *args)
        assert f.__name__ in reply.evalue, reply.evalue
    v.fails("PythonVersionMismatch", v.push, fn=loop)
    same(v.apply(abs, -1), 1)


@operation(code=False)
def broken_requests(v):
    for buffers in ([], [b"x"], [b"x", b"y"], v.request(abs, 1)[:-1], v.request(abs, 1) + [b"z"], [b"", b""]):
        reply = v.worker.apply(buffers)
        same(reply.status, "error")
    same(v.apply(abs, -1), 1)


@operation(code=False)
def joblib_style_object(v):
    source = "class Batch:\n    def __init__(self, n): self.n = n\n    def __call__(self): return [self.n] * 2"
    v.execute(source)
    v.execute("b = Batch(4)")
    same(v.apply(Reference("b")), [4, 4])


@operation(code=False)
def exchange_between_engines(v):
    """A result goes back as an argument: nothing in its pickle may name the worker's own modules."""
    import pickletools

    v.execute("def fn(x): return x\nclass Cl: pass")
    for text in ("fn", "Cl", "b'x' * 2000", "[b'x' * 2000, fn]", "__import__('functools').partial(fn, 1)"):
        reply = v.worker.apply(v.request(_pull, text))
        same(reply.status, "ok")
        strings = [str(arg) for op, arg, _ in pickletools.genops(reply.parts[0]) if isinstance(arg, str)]
        assert not [s for s in strings if "ipcore" in s], strings


def main():
    python, block, same_version = sys.argv[1], sys.argv[2] == "1", sys.argv[3] == "1"
    if not same_version:
        OPERATIONS.append(("foreign_functions", foreign_functions, False))
    folder = harness.blocked()
    env = {"PYTHONPATH": folder.name} if block else {}
    worker = None
    for name, f, code in OPERATIONS:
        if code and not same_version:
            continue
        wrong = None
        try:
            if worker is None:
                worker = harness.Worker(python, env)
            else:
                assert worker.ask("C", []).status == "ok"
            f(View(worker))
        except BaseException:
            wrong = traceback.format_exc()
            if worker is not None:
                worker.close()
                worker = None
        print(json.dumps([name, wrong]), flush=True)
    if worker is not None:
        assert worker.close() == 0
    folder.cleanup()


if __name__ == "__main__":
    main()
