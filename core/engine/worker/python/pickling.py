"""Pickles that refer to public classes of ipyparallel, and code objects in them.

The unpickler always maps the public names to the worker's stand-ins. Objects pickled here refer to the public classes
again, whether or not the node has them.
"""

import copyreg
import io
import sys
import types

try:
    import _pickle as native
except ImportError:  # PyPy
    import pickle as native

PROTOCOL = 4  # every client from Python 3.4 on reads it

CANNING = "ipyparallel.serialize.canning"

public = {}  # (module, name) in a pickle: the object that it stands for here
helpers = {}  # (module, name) of the client's own functions: the function that replaces it; filled by the module helpers
interactive = {}  # name of a helper that the client moves to __main__: (end of its file's name, replacement); likewise


def by_reference(module, name):
    """Return the replacement of a function that a pickle refers to by name, or None."""
    return helpers.get((module, name.rpartition(".")[2]))


def check_dependency(dep, g=None):
    """Raise UnmetDependency unless the dependency of a function holds."""
    dep.check_dependency()


class _Import:
    """An object that is pickled as the module of that name, which is imported where it is unpickled."""

    def __init__(self, name):
        self.name = name

    def __reduce__(self):
        from importlib import import_module

        return import_module, (self.name,)


class Global:
    """A callable that is pickled as the public name of an object that exists at the other end."""

    def __init__(self, module, name, call):
        self.module, self.name, self.call = module, name, call

    def __call__(self, *args):
        return self.call(*args)

    def __reduce__(self):
        return getattr, (_Import(self.module), self.name)


class Public(type):
    """The metaclass of classes that are pickled by a public name, which may not be importable on this node."""


def reduce_public(cls):
    return getattr, (_Import(cls.__module__), cls.__name__)


copyreg.pickle(Public, reduce_public)


def publish(module, also=()):
    """Decorate a class to be pickled as a class of the public module; also has further names for it."""

    def register(cls):
        cls.__module__ = module
        cls.__qualname__ = cls.__name__
        for key in ((module, cls.__name__),) + tuple(also):
            public[key] = cls
        return cls

    return register


# Code objects


class ForeignCode:
    """A stand-in for a code object that another Python version compiled."""

    def __init__(self, filename, name, why):
        self.co_filename, self.co_name, self.why = filename, name, why


class PythonVersionMismatch(RuntimeError):
    """A function was sent as byte code that this Python can't run."""

    __module__ = "ipcore"


_checked = {}  # byte code, numbers of fields and of constants: why it is foreign, or None


def make_code(*args):
    """Return the code object that the client pickled, or a ForeignCode. Never raises, because a helper's code is not needed."""
    filename, name = (str(args[10]), str(args[11])) if len(args) > 11 else ("?", "?")
    try:
        why = None
        for c in args[7]:
            if type(c) is ForeignCode:
                why = c.why
        if why is None:
            key = args[6], len(args), len(args[7])
            try:
                why = _checked[key]
            except KeyError:
                from . import bytecode

                why = bytecode.foreign(args)
                if len(_checked) > 4096:
                    _checked.clear()
                _checked[key] = why
        if why is None:
            return types.CodeType(*args)
    except Exception as e:
        why = "%s: %s" % (type(e).__name__, e)
    return ForeignCode(filename, name, why)


_code_names = None


def reduce_code(code):
    global _code_names
    if _code_names is None:
        names = ["argcount", "posonlyargcount", "kwonlyargcount", "nlocals", "stacksize", "flags", "code", "consts", "names"]
        names += ["varnames", "filename", "name"]
        if sys.version_info >= (3, 11):
            names += ["qualname", "firstlineno", "linetable", "exceptiontable"]
        else:
            names += ["firstlineno", "linetable" if sys.version_info >= (3, 10) else "lnotab"]
        _code_names = ["co_" + n for n in names + ["freevars", "cellvars"]]
    return code_ctor, tuple([getattr(code, n) for n in _code_names])


code_ctor = Global("ipyparallel.serialize.codeutil", "code_ctor", make_code)
public["ipyparallel.serialize.codeutil", "code_ctor"] = code_ctor
HOOK = public[CANNING, "_uncan_dependent_hook"] = Global(CANNING, "_uncan_dependent_hook", check_dependency)
copyreg.pickle(types.CodeType, reduce_code)


# Pickling


class Unpickler(native.Unpickler):
    """An unpickler that maps public names to the worker's stand-ins."""

    def find_class(self, module, name):
        if name == "import_module" and module == "importlib":
            return _import_public
        if module.startswith("ipyparallel"):
            found = public.get((module, name))
            if found is None:
                found = by_reference(module, name)
            if found is not None:
                return found
        return super().find_class(module, name)


class _Module:
    """The public names of one module of ipyparallel, for pickles from another worker."""

    def __init__(self, name):
        self.name = name

    def __getattr__(self, name):
        found = public.get((self.name, name))
        return found if found is not None else getattr(_import(self.name), name)


def _import(name):
    __import__(name)
    return sys.modules[name]


def _import_public(name):
    """Replace importlib.import_module in pickles: modules of ipyparallel are not imported but looked up."""
    return _Module(name) if name.startswith("ipyparallel.") else _import(name)


class NativePickle:
    """The serialiser of the standard library."""

    @staticmethod
    def dumps(obj, protocol=PROTOCOL):
        return native.dumps(obj, protocol)

    @staticmethod
    def loads(data):
        if isinstance(data, memoryview):
            data = data.tobytes()
        if data.find(b"ipyparallel") < 0:  # no public name in it: no copy, no class of ours
            return native.loads(data)
        return Unpickler(io.BytesIO(data)).load()


serializer = NativePickle


def dumps(obj):
    """Pickle obj with the serialiser in use."""
    return serializer.dumps(obj, PROTOCOL)


def loads(data):
    """Unpickle data with the serialiser in use."""
    return serializer.loads(data)
