"""The names ipyparallel and IPython.

On a node without them, modules made here answer for the few names that code on engines uses. On a node with them nothing
is put in their way but a few functions, which are replaced in the real modules when user code imports those.
"""

import sys
import types
from _frozen_importlib import ModuleSpec

MARK = "_ipcore_stand_in"
VERSION = "9.1.0"  # of the ipyparallel whose names are stood in for

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
    found = {name: _find(name) for name in _LOOKED_FOR}
    sys.meta_path.insert(0, _bridge)
    sys.meta_path.append(_stand_ins)
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
        if root == "numpy":
            return _renamed(name)
        if root not in ROOTS or (name != root and not hasattr(sys.modules.get(root), MARK)):
            return None
        from . import standins

        if standins.names(name) is None:
            return None
        return ModuleSpec(name, self, origin="stand-in", is_package=True)

    def create_module(self, spec):
        return _module(spec.name)

    def exec_module(self, module):
        from . import standins

        module.__dict__.update(standins.names(module.__name__))
        if module.__name__ == "IPython":
            __import__("IPython.display")
        if module.__name__ == "ipyparallel":
            for child in ("error", "serialize", "util"):
                __import__("ipyparallel." + child)


class Renamed:
    """Loads a module that passes everything on to the one of another name."""

    def __init__(self, real):
        self.real = real

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        from importlib import import_module

        real = import_module(self.real)
        module.__getattr__ = lambda name: getattr(real, name)
        module.__path__ = []  # its own modules come from here too: none may be loaded twice


def _renamed(name):
    """Find a module of NumPy 2 in NumPy 1: what a client with the one pickles, an engine with the other can read."""
    package = "numpy._core"
    if (name != package and not name.startswith(package + ".")) or "numpy" not in sys.modules:
        return None
    real = "numpy.core" + name[len(package) :]
    return ModuleSpec(name, Renamed(real), origin=real, is_package=True)


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
