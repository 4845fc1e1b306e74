"""The client's canned objects, in both directions, and the buffers of apply messages.

The node's own ipyparallel is never imported for this; the classes below stand in for its classes.
"""

import functools
import io
import sys
import types

from . import interrupt, pickling
from .pickling import CANNING, ForeignCode, Public, PythonVersionMismatch, dumps, loads, publish

THRESHOLD = 1024  # a longer buffer is sent separately from the pickle
ITEMS = 64  # containers below this size are canned item by item


def use_pickle():
    """Go back to the standard library's pickle."""
    pickling.serializer = pickling.NativePickle
    can_map[types.FunctionType] = CannedFunction


def use_cloudpickle():
    """Pickle functions with cloudpickle, in both directions."""
    import cloudpickle

    class Pickler(cloudpickle.Pickler):
        def reducer_override(self, obj):
            # cloudpickle would pickle the code of classes and functions that it can't find by name.
            if type(obj) is pickling.Public:
                return pickling.reduce_public(obj)
            return super().reducer_override(obj)

    class CloudPickle(pickling.NativePickle):
        @staticmethod
        def dumps(obj, protocol=pickling.PROTOCOL):
            f = io.BytesIO()
            Pickler(f, protocol).dump(obj)
            return f.getvalue()

    pickling.serializer = CloudPickle
    can_map.pop(types.FunctionType, None)


def use_dill():
    """Pickle functions with dill, in both directions."""
    import dill

    class DillUnpickler(dill.Unpickler):
        def find_class(self, module, name):
            found = pickling.public.get((module, name)) or pickling.by_reference(module, name)
            return super().find_class(module, name) if found is None else found

    class Dill:
        @staticmethod
        def dumps(obj, protocol=pickling.PROTOCOL):
            return dill.dumps(obj, protocol)

        @staticmethod
        def loads(data):
            return DillUnpickler(io.BytesIO(data)).load()

    pickling.serializer = Dill
    can_map.pop(types.FunctionType, None)


# Canned classes


@publish(CANNING)
class CannedObject(metaclass=Public):
    """A copy of an object with some attributes canned, and a hook to call on it when it is rebuilt."""

    def __init__(self, obj, keys=[], hook=None):
        from copy import copy

        self.keys = keys
        self.obj = copy(obj)
        self.hook = can(hook)
        for key in keys:
            setattr(self.obj, key, can(getattr(obj, key)))
        self.buffers = []

    def get_object(self, g=None):
        """Rebuild the object; names are looked up in g."""
        for key in self.keys:
            setattr(self.obj, key, uncan(getattr(self.obj, key), g))
        if self.hook:
            hook = uncan(self.hook, g)
            before = interrupt.enter(interrupt.USER)
            try:
                hook(self.obj, g)
            finally:
                interrupt.leave(before)
        return self.obj


@publish(CANNING, also=[("ipyparallel", "Reference"), ("ipyparallel.serialize", "Reference")])
class Reference(CannedObject):
    """An expression that is evaluated in the namespace of the engine."""

    def __init__(self, name):
        if not isinstance(name, str):
            raise TypeError("a Reference holds an expression as text, not %r" % (name,))
        self.name = name
        self.buffers = []

    def __repr__(self):
        return "<Reference: %r>" % self.name

    def get_object(self, g=None):
        before = interrupt.enter(interrupt.USER)
        try:
            return eval(self.name, {} if g is None else g)
        finally:
            interrupt.leave(before)


@publish(CANNING)
class CannedCell(CannedObject):
    """A cell of a closure."""

    def __init__(self, cell):
        self.cell_contents = can(cell.cell_contents)

    def get_object(self, g=None):
        return types.CellType(uncan(self.cell_contents, g))


@publish(CANNING)
class CannedFunction(CannedObject):
    """A function by its code."""

    def __init__(self, f):
        if not isinstance(f, types.FunctionType):
            raise TypeError("not a function: %r" % (f,))
        self.code = f.__code__
        self.defaults = [can(d) for d in f.__defaults__] if f.__defaults__ else None
        self.kwdefaults = can_dict(f.__kwdefaults__) if f.__kwdefaults__ else None
        try:
            annotations = f.__annotations__
        except Exception:  # evaluated only now from Python 3.14 on
            annotations = None
        self.annotations = can_dict(annotations) if annotations else None
        self.closure = tuple([can(c) for c in f.__closure__]) if f.__closure__ else None
        self.module = f.__module__ or "__main__"
        self.__name__ = f.__name__
        self.buffers = []

    def get_object(self, g=None):
        code = self.code
        helper = by_code(self.module, self.__name__, code.co_filename)
        if helper is not None:
            return helper
        if type(code) is ForeignCode:
            sessions.foreign.add(sessions.current)
        elif sessions.current in sessions.foreign:
            code = ForeignCode(code.co_filename, code.co_name, "other functions of this client were")
        if type(code) is ForeignCode:
            raise PythonVersionMismatch(
                "function %s (%s) was compiled by another version of Python than this engine's %d.%d (%s); run client and engine "
                "with the same one, or send source with execute"
                % (self.__name__, code.co_filename, sys.version_info[0], sys.version_info[1], code.why)
            )
        if not self.module.startswith("__"):
            g = _module_globals(self.module)
        elif g is None:
            g = {}
        defaults = tuple([uncan(d, g) for d in self.defaults]) if self.defaults else None
        closure = tuple([uncan(c, g) for c in self.closure]) if self.closure else None
        f = types.FunctionType(code, g, self.__name__, defaults, closure)
        if self.kwdefaults:
            f.__kwdefaults__ = uncan_dict(self.kwdefaults, g)
        if self.annotations:
            f.__annotations__ = uncan_dict(self.annotations, g)
        return f


def _module_globals(name):
    before = interrupt.enter(interrupt.USER)
    try:
        __import__(name)
    except ModuleNotFoundError:
        from . import packages

        if not packages.stand_in(name):
            raise
    finally:
        interrupt.leave(before)
    return sys.modules[name].__dict__


def by_code(module, name, filename):
    """Return the helper that replaces a function that was sent as code, or None.

    The client marks some of its functions as interactive. Their module is __main__, so their file decides.
    """
    if module.startswith("ipyparallel"):
        return pickling.helpers.get((module, name))
    if module == "__main__" and name in pickling.interactive:
        path, helper = pickling.interactive[name]
        if filename.replace("\\", "/").endswith("ipyparallel/" + path):
            return helper
    return None


@publish(CANNING)
class CannedPartial(CannedObject):
    """A functools.partial; it holds the buffers of all its arguments, and how many each has."""

    def __init__(self, f):
        if not isinstance(f, functools.partial):
            raise TypeError("not a functools.partial: %r" % (f,))
        self.func = can(f.func)
        self.args = [can(a) for a in f.args]
        self.keywords = {k: can(v) for k, v in f.keywords.items()}
        self.buffers = []
        self.arg_buffer_counts = [self._take(a) for a in self.args]
        self.keyword_buffer_counts = {}
        for key in sorted(self.keywords):
            if _is_canned(self.keywords[key]):
                self.keyword_buffer_counts[key] = self._take(self.keywords[key])

    def _take(self, canned):
        buffers = _buffers(canned)
        if not buffers:
            return 0
        self.buffers.extend(buffers)
        canned.buffers = []
        return len(buffers)

    def get_object(self, g=None):
        at = 0
        if self.buffers:
            pairs = list(zip(self.args, self.arg_buffer_counts))
            pairs += [(self.keywords[k], self.keyword_buffer_counts[k]) for k in sorted(self.keyword_buffer_counts)]
            for canned, count in pairs:
                if count:
                    canned.buffers = self.buffers[at : at + count]
                    at += count
        args = [uncan(a, g) for a in self.args]
        keywords = {k: uncan(v, g) for k, v in self.keywords.items()}
        return functools.partial(uncan(self.func, g), *args, **keywords)


@publish(CANNING)
class CannedClass(CannedObject):
    """A class of __main__ by its dict."""

    _left_out = ("__weakref__", "__dict__", "__firstlineno__", "__static_attributes__")

    def __init__(self, cls):
        if not isinstance(cls, type):
            raise TypeError("not a class: %r" % (cls,))
        self.name = cls.__name__
        self.old_style = False
        self._canned_dict = {k: can(v) for k, v in cls.__dict__.items() if k not in self._left_out}
        self.parents = [can(c) for c in cls.mro()[1:]]
        self.buffers = []

    def get_object(self, g=None):
        parents = tuple([uncan(p, g) for p in self.parents])
        body = uncan_dict(self._canned_dict, g)
        before = interrupt.enter(interrupt.USER)
        try:
            return types.new_class(self.name, parents, exec_body=lambda ns: ns.update(body))
        finally:
            interrupt.leave(before)


@publish(CANNING)
class CannedArray(CannedObject):
    """A NumPy array: its type and shape, and its memory as a buffer, or a pickle if its memory is not enough."""

    def __init__(self, obj):
        import numpy

        dtype = obj.dtype
        self.shape = obj.shape
        self.dtype = dtype.descr if dtype.fields else dtype.str
        self.pickled = sum(obj.shape) == 0 or dtype.hasobject or dtype.kind in "mM"
        if not self.pickled:
            try:
                plain = numpy.dtype(self.dtype) == dtype  # not with padding, subarrays or a type of an extension
                view = numpy.ascontiguousarray(obj).reshape(-1).view("u1").data
                self.pickled = not plain or view.nbytes != obj.nbytes
            except (TypeError, ValueError, BufferError):
                self.pickled = True
        self.buffers = [dumps(obj) if self.pickled else view]

    def get_object(self, g=None):
        data = self.buffers[0]
        if self.pickled:
            return loads(data)
        import numpy

        return numpy.frombuffer(data, dtype=self.dtype).reshape(self.shape)


@publish(CANNING)
class CannedBytes(CannedObject):
    """A bytes object."""

    def __init__(self, obj):
        self.buffers = [obj]

    def get_object(self, g=None):
        return self.wrap(self.buffers[0])

    @staticmethod
    def wrap(data):
        return data if isinstance(data, bytes) else memoryview(data).tobytes()


@publish(CANNING, also=[(CANNING, "CannedBuffer")])
class CannedMemoryView(CannedBytes):
    """A memoryview."""

    def __init__(self, obj):
        self.buffers = [obj if obj.c_contiguous else memoryview(obj.tobytes())]

    wrap = memoryview


@publish(
    "ipyparallel.controller.dependency",
    also=[("ipyparallel", "dependent"), ("ipyparallel.controller", "dependent")],
)
class dependent(metaclass=Public):
    """A function that may run only where another one does not return False."""

    def __init__(self, _wrapped_f, _wrapped_df, *dargs, **dkwargs):
        self.f = _wrapped_f
        self.__name__ = getattr(_wrapped_f, "__name__", "f")
        self.df = _wrapped_df
        self.dargs = dargs
        self.dkwargs = dkwargs

    def check_dependency(self):
        if self.df(*self.dargs, **self.dkwargs) is False:
            from . import errors

            raise errors.error_class("UnmetDependency")()

    def __call__(self, *args, **kwargs):
        return self.f(*args, **kwargs)


@publish("ipyparallel.serialize.serialize", also=[("ipyparallel.serialize", "PrePickled")])
class PrePickled(metaclass=Public):
    """An object that is serialised once and sent often."""

    def __init__(self, obj):
        self.buffers = serialize(obj)


# Canning and uncanning


def can_class(cls):
    """Can a class of the user's own module; others are found by their name."""
    return CannedClass(cls) if cls.__module__ == "__main__" else cls


def can_dependent(obj):
    """Can a function with a dependency."""
    return CannedObject(obj, keys=("f", "df"), hook=pickling.HOOK)


# Users may add to both maps. A key may be the dotted name of a class that is not imported yet.
can_map = {
    "numpy.ndarray": CannedArray,
    types.FunctionType: CannedFunction,
    functools.partial: CannedPartial,
    bytes: CannedBytes,
    memoryview: CannedMemoryView,
    types.CellType: CannedCell,
    type: can_class,
    dependent: can_dependent,
}
uncan_map = {CannedObject: lambda obj, g: obj.get_object(g), dict: lambda obj, g: uncan_dict(obj, g)}
original_can_map = dict(can_map)

_plain = {type(None), bool, int, float, complex, str, bytearray, list, tuple, set, dict, range}


def _resolve(mapping):
    """Replace dotted names of classes by the classes where their module is imported. Report whether there were any."""
    found = False
    for key in [k for k in mapping if isinstance(k, str)]:
        module, _, name = key.rpartition(".")
        parts = module.split(".")
        if parts[0] in sys.modules:
            obj = sys.modules.get(module)
            cls = getattr(obj, name, None)
            if isinstance(cls, type):
                mapping[cls] = mapping.pop(key)
                found = True
    return found


def _real(name):
    """Return the node's own ipyparallel module of that name if user code has imported it."""
    module = sys.modules.get(name)
    return module if module is not None and not hasattr(module, "_ipcore_stand_in") else None


def _is_canned(obj):
    if isinstance(obj, CannedObject):
        return True
    real = _real(CANNING)
    return real is not None and isinstance(obj, real.CannedObject)


def _buffers(obj):
    if type(obj) in _plain or not _is_canned(obj):
        return None
    return getattr(obj, "buffers", None)


def can(obj):
    """Prepare obj for pickling."""
    cls = type(obj)
    canner = can_map.get(cls)
    if canner is not None:
        return canner(obj)
    if cls in _plain and len(can_map) <= len(original_can_map):
        return obj
    if _resolve(can_map) and cls in can_map:
        return can_map[cls](obj)
    real = _real(CANNING)
    if real is not None:
        # The node's own package is in use: entries that the user added to its map apply.
        canner = real.can_map.get(cls)
        if canner is None and any(isinstance(k, str) and k not in real._original_can_map for k in real.can_map):
            return real.can(obj)
        if canner is not None and real._original_can_map.get(cls) is not canner:
            return canner(obj)
    dependents = _real("ipyparallel.controller.dependency")
    if dependents is not None and cls is dependents.dependent:
        return can_dependent(obj)
    return obj


def can_dict(obj):
    """Can the values of a dict."""
    return {k: can(v) for k, v in obj.items()} if type(obj) is dict else obj


def uncan(obj, g=None):
    """Rebuild what can prepared; names are looked up in g."""
    if isinstance(obj, CannedObject):
        return obj.get_object(g)
    cls = type(obj)
    if cls is dict:
        return uncan_dict(obj, g)
    if cls in _plain:
        return obj
    real = _real(CANNING)
    if real is not None and isinstance(obj, real.CannedObject):
        return obj.get_object(g)
    if len(uncan_map) > 2:
        _resolve(uncan_map)
        for known, uncanner in uncan_map.items():
            if not isinstance(known, str) and isinstance(obj, known):
                return uncanner(obj, g)
    if real is not None and len(real.uncan_map) > len(real._original_uncan_map):
        return real.uncan(obj, g)
    return obj


def uncan_dict(obj, g=None):
    """Rebuild the values of a dict."""
    return {k: uncan(v, g) for k, v in obj.items()} if type(obj) is dict else obj


def can_sequence(obj):
    """Can the items of a list, tuple or set."""
    return type(obj)([can(i) for i in obj]) if type(obj) in _sequences else obj


def uncan_sequence(obj, g=None):
    """Rebuild the items of a list, tuple or set."""
    return type(obj)([uncan(i, g) for i in obj]) if type(obj) in _sequences else obj


_sequences = (list, tuple, set)


def _extract(obj, out, threshold):
    """Move the long buffers of a canned object to out."""
    buffers = _buffers(obj)
    if not buffers:
        return
    for i, buf in enumerate(buffers):
        view = isinstance(buf, memoryview)
        if (buf.nbytes if view else len(buf)) > threshold:
            buffers[i] = None
            out.append(buf)
        elif view:
            buffers[i] = buf.tobytes()


def _restore(obj, parts, at):
    """Put raw parts back into the canned object. Return the index after them."""
    buffers = _buffers(obj)
    if buffers:
        for i, buf in enumerate(buffers):
            if buf is None:
                buffers[i] = parts[at]
                at += 1
    return at


def serialize(obj, threshold=THRESHOLD, items=ITEMS):
    """Return the buffers of obj: a pickle, then its long pieces of memory."""
    if isinstance(obj, PrePickled):
        return list(obj.buffers)
    out = []
    cls = type(obj)
    if cls in _sequences and len(obj) < items:
        canned = cls([can(i) for i in obj])
        for c in canned:
            _extract(c, out, threshold)
    elif cls is dict and len(obj) < items:
        canned = {}
        for key in sorted(obj):
            canned[key] = c = can(obj[key])
            _extract(c, out, threshold)
    else:
        canned = can(obj)
        _extract(canned, out, threshold)
    out.insert(0, dumps(canned))
    return out


def _deserialize(parts, at, g):
    canned = loads(parts[at])
    at += 1
    cls = type(canned)
    if cls in _sequences and len(canned) < ITEMS:
        for c in canned:
            at = _restore(c, parts, at)
        return uncan_sequence(canned, g), at
    if cls is dict and len(canned) < ITEMS:
        new = {}
        for key in sorted(canned):
            at = _restore(canned[key], parts, at)
            new[key] = uncan(canned[key], g)
        return new, at
    at = _restore(canned, parts, at)
    return uncan(canned, g), at


def deserialize(buffers, g=None):
    """Return the object that serialize took apart, and the remaining buffers."""
    buffers = list(buffers)
    obj, at = _deserialize(buffers, 0, g)
    return obj, buffers[at:]


def unpack_apply(buffers, g=None):
    """Return the function, arguments and keyword arguments of an apply request."""
    if len(buffers) < 2:
        raise ValueError("an apply request of %d buffers" % len(buffers))
    f, at = _deserialize(buffers, 0, g)
    info = pickling.native.loads(buffers[at])
    at += 1
    args = []
    for _ in range(info["nargs"]):
        arg, at = _deserialize(buffers, at, g)
        args.append(arg)
    kwargs = {}
    for key in info["kw_keys"]:
        kwargs[key], at = _deserialize(buffers, at, g)
    if at != len(buffers):
        raise ValueError("an apply request with %d buffers too many" % (len(buffers) - at))
    return f, tuple(args), kwargs


def pack_apply(f, args, kwargs, threshold=THRESHOLD, items=ITEMS):
    """Return the buffers of an apply request."""
    keys = sorted(kwargs)
    arg_bufs = [b for a in args for b in serialize(a, threshold, items)]
    kwarg_bufs = [b for k in keys for b in serialize(kwargs[k], threshold, items)]
    info = {"nargs": len(args), "narg_bufs": len(arg_bufs), "kw_keys": keys}
    return serialize(f) + [pickling.native.dumps(info, pickling.PROTOCOL)] + arg_bufs + kwarg_bufs


def publish_data(data):
    """Send a dict of Python objects to the client while the request runs."""
    from . import display

    before = interrupt.enter(interrupt.BUSY)
    try:
        buffers = serialize(data)
        display.send("data_message", {"keys": list(data)}, buffers)
    finally:
        interrupt.leave(before)


class sessions:
    """The client sessions that sent foreign functions, whose later functions are not tried either."""

    current = ""
    foreign = set()
