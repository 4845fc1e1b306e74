"""What the stand-ins for ipyparallel and IPython hold."""

import sys
import types

from . import packages

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
    if module is not None and not hasattr(module, packages.MARK):
        return getattr(module, name)
    return _error(name)


def _error(name):
    if name == "Exception":
        return Exception
    if name not in _made:
        from . import pickling

        body = {"__module__": "ipyparallel.error"}
        if name == "RemoteError":
            body.update(__init__=_remote_init, __str__=_remote_text, engine_info=None)
        elif name == "CompositeError":
            body.update(__init__=_composite_init)
        _made[name] = pickling.Public(name, (_error(_ERRORS[name]),), body)
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


def names(name):
    """Return what a stood-in module holds, or None if it is none."""
    from . import canning, display, helpers, namespace, pickling

    def classes(module):
        return {n: obj for (m, n), obj in pickling.public.items() if m == module}

    if name == "ipyparallel":
        held = {n: _error(n) for n in _ERRORS}
        held.update(names("ipyparallel.serialize"))
        held.update(names("ipyparallel.controller.dependency"))
        version = tuple([int(n) for n in packages.VERSION.split(".")])
        held.update(interactive=_interactive, bind_kernel=helpers.bind_kernel, version_info=version)
        return held
    if name in ("ipyparallel.serialize", "ipyparallel.serialize.canning", "ipyparallel.serialize.serialize"):
        return dict(
            classes("ipyparallel.serialize.canning"),
            PrePickled=canning.PrePickled,
            CannedBuffer=canning.CannedMemoryView,
            _uncan_dependent_hook=pickling.HOOK,
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
        return {"code_ctor": pickling.code_ctor}
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
