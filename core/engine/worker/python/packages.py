"""The names ipyparallel and IPython.

On a node without these packages, stand-in modules have the few names that code on engines uses. On a node with them, only
a few functions are replaced in the real modules, when user code imports those.
"""

import sys
import types
from _frozen_importlib import ModuleSpec

MARK = "_ipcore_stand_in"
VERSION = "9.1.0"  # version of ipyparallel that the stand-ins follow

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


def install(names, replacements):
    """Install the finders. Return which packages the node has.

    names(module) returns the names that a stand-in module has, or None; replacements(module) returns the functions to
    replace in a module of the real packages.
    """
    _stand_ins.names, _bridge.replacements = names, replacements
    found = {name: _find(name) for name in _LOOKED_FOR}
    sys.meta_path.insert(0, _bridge)
    sys.meta_path.append(_stand_ins)
    return found


def stand_in(name):
    """Create an empty module for a module of ipyparallel that the node does not have. Report whether that was done."""
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
            "module %r has no attribute %r: %s is not installed on this node, and its stand-in has only what engines need"
            % (name, attribute, name.partition(".")[0])
        )

    module.__getattr__ = missing
    return module


class StandIns:
    """The last finder: creates modules for packages that no other finder has."""

    names = None

    def find_spec(self, name, path=None, target=None):
        root = name.partition(".")[0]
        if root == "numpy":
            return _renamed(name)
        if root not in ROOTS or (name != root and not hasattr(sys.modules.get(root), MARK)):
            return None
        if self.names(name) is None:
            return None
        return ModuleSpec(name, self, origin="stand-in", is_package=True)

    def create_module(self, spec):
        return _module(spec.name)

    def exec_module(self, module):
        module.__dict__.update(self.names(module.__name__))
        if module.__name__ == "IPython":
            __import__("IPython.display")
        if module.__name__ == "ipyparallel":
            for child in ("error", "serialize", "util"):
                __import__("ipyparallel." + child)


class Renamed:
    """Loads a module whose attributes are those of the module of another name."""

    def __init__(self, real):
        self.real = real

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        from importlib import import_module

        real = import_module(self.real)
        module.__getattr__ = lambda name: getattr(real, name)
        module.__path__ = []  # submodules are found here too, so that none is loaded twice


def _renamed(name):
    """Find a module of NumPy 2 in NumPy 1, so that engines with NumPy 1 can read pickles of clients with NumPy 2."""
    package = "numpy._core"
    if (name != package and not name.startswith(package + ".")) or "numpy" not in sys.modules:
        return None
    real = "numpy.core" + name[len(package) :]
    return ModuleSpec(name, Renamed(real), origin=real, is_package=True)


# The real packages


class Bridge:
    """The first finder: lets the real loader of a few modules run, and then connects them with this engine."""

    replacements = None
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
                    spec.loader = Connected(spec.loader, self.replacements)
                return spec
        return None


class Connected:
    """A loader that replaces functions of a module that another loader has loaded."""

    def __init__(self, loader, replacements):
        self._loader = loader
        self._replacements = replacements

    def __getattr__(self, name):
        return getattr(self._loader, name)

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        module.__loader__ = module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        for name, value in self._replacements(module.__name__).items():
            if name in module.__dict__:
                setattr(module, name, value)


_bridge = Bridge()
_stand_ins = StandIns()
