"""The names ipyparallel and IPython.

On a node without them, modules made here answer for the few names that code on engines uses. On a node with them nothing
is put in their way but a few functions, which are replaced in the real modules when user code imports those.
"""

import sys
import types
from _frozen_importlib import ModuleSpec

MARK = "_ipcore_stand_in"
VERSION = "9.1.0"  # of the ipyparallel whose names are stood in for

_missing = set()  # of ROOTS


ROOTS = ("ipyparallel", "IPython")
_LOOKED_FOR = ("ipyparallel", "IPython", "numpy", "pandas", "cloudpickle", "dill", "distributed")


def _find(name):
    """Report whether a top-level package can be imported, without importing it."""
    for finder in sys.meta_path:
        try:
            if finder is not _stand_ins and finder.find_spec(name, None) is not None:
                return True
        except Exception:
            pass
    return False


def install():
    """Put the finders in place. Return which packages the node has."""
    import builtins

    from . import display

    found = {name: _find(name) for name in _LOOKED_FOR}
    sys.meta_path.insert(0, _bridge)
    sys.meta_path.append(_stand_ins)
    builtins.display = display.display
    return found


def stand_in(name):
    """Make an empty module for a module of ipyparallel that the node has not. Report whether that was done."""
    root = name.partition(".")[0]
    if root != "ipyparallel" or not hasattr(sys.modules.get(root), MARK):
        return False
    module = sys.modules[name] = _module(name)
    parent, _, child = name.rpartition(".")
    if parent not in sys.modules:
        stand_in(parent)
    setattr(sys.modules[parent], child, module)
    return True


# Errors

_ERRORS = {
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
    if module is not None and not hasattr(module, MARK):
        return getattr(module, name)
    return _error(name)


def _error(name):
    if name == "Exception":
        return Exception
    if name not in _made:
        from . import canning

        body = {"__module__": "ipyparallel.error"}
        if name == "RemoteError":
            body.update(__init__=_remote_init, __str__=_remote_text, engine_info=None)
        elif name == "CompositeError":
            body.update(__init__=_composite_init)
        _made[name] = canning.Public(name, (_error(_ERRORS[name]),), body)
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


# Modules


def _names(name):
    """Return what a stood-in module holds, or None if it is none."""
    from . import canning, display, helpers, namespace

    def classes(module):
        return {n: obj for (m, n), obj in canning.public.items() if m == module}

    if name == "ipyparallel":
        errors = {n: _error(n) for n in _ERRORS}
        serial = {n: v for n, v in _names("ipyparallel.serialize").items()}
        depends = _names("ipyparallel.controller.dependency")
        version = tuple(int(n) for n in VERSION.split("."))
        return dict(
            errors, **serial, **depends, interactive=_interactive, bind_kernel=helpers.bind_kernel, version_info=version
        )
    if name in ("ipyparallel.serialize", "ipyparallel.serialize.canning", "ipyparallel.serialize.serialize"):
        return dict(
            classes("ipyparallel.serialize.canning"),
            PrePickled=canning.PrePickled,
            can=canning.can,
            uncan=canning.uncan,
            can_map=canning.can_map,
            uncan_map=canning.uncan_map,
            can_dict=canning.can_dict,
            uncan_dict=canning.uncan_dict,
            can_sequence=canning.can_sequence,
            uncan_sequence=canning.uncan_sequence,
            can_class=canning.can_class,
            can_dependent=canning.can_dependent,
            use_pickle=helpers.use_pickle,
            use_cloudpickle=helpers.use_cloudpickle,
            use_dill=helpers.use_dill,
            interactive=_interactive,
            serialize_object=canning.serialize,
            deserialize_object=canning.deserialize,
            pack_apply_message=canning.pack_apply,
            unpack_apply_message=canning.unpack_apply,
        )
    if name == "ipyparallel.serialize.codeutil":
        return {"code_ctor": canning.code_ctor}
    if name == "ipyparallel.error":
        return {n: _error(n) for n in _ERRORS}
    if name == "ipyparallel.util":
        return {"interactive": _interactive, "_push": helpers.push, "_pull": helpers.pull, "_execute": helpers.execute}
    if name == "ipyparallel.controller.dependency":
        return {"dependent": canning.dependent, "depend": _depend, "require": _require, "_require": helpers.require}
    if name == "ipyparallel.client.remotefunction":
        return {"_map": helpers.map_list}
    if name in ("ipyparallel.datapub", "ipyparallel.engine.datapub"):
        return {"publish_data": display.publish_data}
    if name in ("ipyparallel.controller", "ipyparallel.client", "ipyparallel.engine", "ipyparallel.client.view"):
        return {}
    if name == "IPython":
        return {"get_ipython": namespace.get_ipython, "version_info": (8, 0, 0)}
    if name == "IPython.core":
        return {}
    if name == "IPython.core.getipython":
        return {"get_ipython": namespace.get_ipython}
    if name in ("IPython.display", "IPython.core.display", "IPython.core.display_functions"):
        from . import rich

        return dict(
            {n: getattr(rich, n) for n in rich.NAMES},
            display=display.display,
            update_display=display.update_display,
            clear_output=display.clear_output,
            publish_display_data=display.publish_display_data,
            DisplayHandle=display.DisplayHandle,
        )
    if name == "IPython.core.error":
        from . import magics

        return {"UsageError": magics.UsageError}
    if name in ("IPython.utils", "IPython.core.magic"):
        return {} if name == "IPython.utils" else dict(zip(*_magic_decorators()))
    return None


def _magic_decorators():
    def register(kind):
        def decorate(arg):
            from . import shell

            if callable(arg):
                shell.instance().register_magic_function(arg, kind)
                return arg

            def named(func):
                shell.instance().register_magic_function(func, kind, arg)
                return func

            return named

        return decorate

    names = ("register_line_magic", "register_cell_magic", "register_line_cell_magic")
    return names, [register(kind) for kind in ("line", "cell", "line_cell")]


def _interactive(f):
    """Make f a function of the user's module."""
    from . import namespace

    if isinstance(f, types.FunctionType):
        f = types.FunctionType(f.__code__, namespace.user_ns, f.__name__, f.__defaults__)
    f.__module__ = "__main__"
    return f


def _depend(_wrapped_f, *args, **kwargs):
    """Decorate a function with a dependency."""
    from . import canning

    return lambda f: canning.dependent(f, _wrapped_f, *args, **kwargs)


def _require(*objects, **mapping):
    """Decorate a function with modules and objects that it needs."""
    from . import canning, helpers

    names = []
    for obj in objects:
        if isinstance(obj, types.ModuleType):
            names.append(obj.__name__)
        elif isinstance(obj, str):
            names.append(obj)
        else:
            mapping[obj.__name__] = obj
    return _depend(helpers.require, *names, **{k: canning.can(v) for k, v in mapping.items()})


def _module(name):
    module = types.ModuleType(name, "Stands in for %s, which this node does not have." % name)
    setattr(module, MARK, True)
    module.__version__ = VERSION if name.startswith("ipyparallel") else "8.0.0"
    module.__path__ = []

    def missing(attribute):
        raise AttributeError(
            "module %r has no attribute %r: %s is not installed here, and what stands in for it has only what engines need"
            % (name, attribute, name.partition(".")[0])
        )

    module.__getattr__ = missing
    return module


class StandIns:
    """The last finder: makes modules for packages that no other finder has."""

    def find_spec(self, name, path=None, target=None):
        root = name.partition(".")[0]
        if root not in ROOTS or (name != root and not hasattr(sys.modules.get(root), MARK)):
            return None
        if _names(name) is None:
            return None
        return ModuleSpec(name, self, origin="stand-in", is_package=True)

    def create_module(self, spec):
        return _module(spec.name)

    def exec_module(self, module):
        names = _names(module.__name__)
        module.__dict__.update(names)
        if module.__name__ == "IPython":
            __import__("IPython.display")
        if module.__name__ == "ipyparallel":
            for child in ("error", "serialize", "util"):
                __import__("ipyparallel." + child)


# The real packages


def _bridges():
    """Return, for modules of the real packages, what replaces their functions."""
    from . import display, namespace

    functions = {
        "display": display.display,
        "update_display": display.update_display,
        "clear_output": display.clear_output,
        "publish_display_data": display.publish_display_data,
        "DisplayHandle": display.DisplayHandle,
    }
    return {
        "IPython.core.getipython": {"get_ipython": namespace.get_ipython},
        "IPython.core.display_functions": functions,
        "IPython.core.display": functions,
        "ipyparallel.engine.datapub": {"publish_data": display.publish_data},
    }


class Bridge:
    """The first finder: lets the real loader of a few modules run, then connects them with this engine."""

    names = ("IPython.core.getipython", "IPython.core.display_functions", "IPython.core.display", "ipyparallel.engine.datapub")

    def find_spec(self, name, path=None, target=None):
        if name not in self.names:
            return None
        for finder in sys.meta_path:
            if finder is self:
                continue
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                if spec.loader is not _stand_ins and hasattr(spec.loader, "exec_module"):
                    spec.loader = Connected(spec.loader)
                return spec
        return None


class Connected:
    """A loader that replaces functions of the module which another one has loaded."""

    def __init__(self, loader):
        self._loader = loader

    def __getattr__(self, name):
        return getattr(self._loader, name)

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        module.__loader__ = module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        for name, value in _bridges()[module.__name__].items():
            if name in module.__dict__:
                setattr(module, name, value)


_bridge = Bridge()
_stand_ins = StandIns()
