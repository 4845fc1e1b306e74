"""The contents of the stand-in modules for ipyparallel and IPython, and the functions to replace in the real ones."""

import types

from . import packages

# Modules


def names(name):
    """Return the names of a stand-in module, or None if there is no stand-in for it."""
    from . import canning, display, errors, helpers, namespace, pickling

    def classes(module):
        return {n: obj for (m, n), obj in pickling.public.items() if m == module}

    if name == "ipyparallel":
        held = {n: errors.create(n) for n in errors.BASES}
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
        return {n: errors.create(n) for n in errors.BASES}
    if name == "ipyparallel.util":
        return {"interactive": _interactive, "_push": helpers.push, "_pull": helpers.pull, "_execute": helpers.execute}
    if name == "ipyparallel.controller.dependency":
        return {"dependent": canning.dependent, "depend": _depend, "require": _require, "_require": helpers.require}
    if name == "ipyparallel.client.remotefunction":
        return {"_map": helpers.map_list}
    if name in ("ipyparallel.datapub", "ipyparallel.engine.datapub"):
        return {"publish_data": canning.publish_data}
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


def replacements(module):
    """Return the functions to replace in a module of the real packages, by name."""
    from . import canning, display, namespace

    if module == "IPython.core.getipython":
        return {"get_ipython": namespace.get_ipython}
    if module == "ipyparallel.engine.datapub":
        return {"publish_data": canning.publish_data}
    return {
        "display": display.display,
        "update_display": display.update_display,
        "clear_output": display.clear_output,
        "publish_display_data": display.publish_display_data,
        "DisplayHandle": display.DisplayHandle,
    }


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
