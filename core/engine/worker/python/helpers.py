"""Replacements of the functions that the client library itself sends; the code that it sends is never run.

So these functions work whatever Python the client runs, and whatever their modules are on this node.
"""

import sys

from . import canning, namespace, pickling


def push(**values):
    """Bind names in the user's namespace; a name may be any target of an assignment."""
    ns = namespace.user_ns
    for name, value in values.items():
        if name.isidentifier():
            ns[name] = value
            continue
        holder = "_ipcore_pushed_"
        while holder in ns:
            holder += "_"
        ns[holder] = value
        try:
            exec("%s = %s" % (name, holder), ns)
        finally:
            del ns[holder]


def pull(keys):
    """Evaluate one expression in the user's namespace, or several."""
    ns = namespace.user_ns
    if isinstance(keys, (list, tuple, set)):
        return [eval(key, ns) for key in keys]
    return eval(keys, ns)


def execute(code):
    """Run source text in the user's namespace."""
    exec(code, namespace.user_ns)


def map_list(f, *sequences):
    """Apply f to the items of the sequences."""
    return list(map(f, *sequences))


def broadcast_map(f, *names):
    """Apply f to the items of scattered variables, which are removed."""
    return list(map(f, *[namespace.user_ns.pop(name) for name in names]))


def require(*modules, **objects):
    """Import modules into the user's namespace and bind objects there."""
    from . import errors

    ns = namespace.user_ns
    for name in modules:
        try:
            exec("import " + name, ns)
        except ImportError:
            raise errors.error_class("UnmetDependency")(name)
    for name, obj in objects.items():
        ns[name] = canning.uncan(obj, ns)
    return True


def remote_import(name, fromlist, level):
    """Import as the client's sync_imports block did."""
    ns = namespace.user_ns
    module = __import__(name, fromlist=fromlist, level=level)
    if not fromlist:
        ns[name] = sys.modules[name]
    for key in fromlist or ():
        ns[key] = getattr(module, key)


def use_pickle():
    """Pickle with the standard library."""
    canning.use_pickle()


def use_cloudpickle():
    """Pickle functions with cloudpickle."""
    canning.use_cloudpickle()


def use_dill():
    """Pickle functions with dill."""
    canning.use_dill()


class _dask:
    worker = loop = None


def become_dask_worker(address=None, nanny=False, **kwargs):
    """Start a worker of dask.distributed in this process, on a thread with its own event loop."""
    if _dask.worker is not None:
        return
    import asyncio
    import threading

    from distributed import Nanny, Worker

    if "ncores" in kwargs:  # the name that older clients send
        kwargs["nthreads"] = kwargs.pop("ncores")
    ready = threading.Event()
    failure = []

    async def serve():
        stop = asyncio.Event()
        try:
            worker = await (Nanny if nanny else Worker)(address, **kwargs)
            _dask.worker, _dask.loop = worker, (asyncio.get_running_loop(), stop)
        except BaseException as e:
            failure.append(e)
            return
        finally:
            ready.set()
        await stop.wait()
        await worker.close()

    threading.Thread(target=lambda: asyncio.run(serve()), name="dask worker", daemon=True).start()
    ready.wait()
    if failure:
        raise failure[0]
    namespace.user_ns["dask_worker"] = namespace.user_ns["distributed_worker"] = _dask.worker


def stop_distributed_worker():
    """Stop the worker of dask.distributed."""
    if _dask.worker is None:
        return
    worker, (loop, stop) = _dask.worker, _dask.loop
    _dask.worker = _dask.loop = None
    for name in ("dask_worker", "distributed_worker"):
        if namespace.user_ns.get(name) is worker:
            del namespace.user_ns[name]
    loop.call_soon_threadsafe(stop.set)


def bind_kernel(**kwargs):
    """Raise an error: this engine has no Jupyter kernel to bind."""
    raise RuntimeError(
        "bind_kernel: this engine is not an IPython kernel; start engines with --engine-cmd 'python3 -m ipyparallel.engine' to bind kernels"
    )


pickling.helpers.update({
    ("ipyparallel.util", "_push"): push,
    ("ipyparallel.util", "_pull"): pull,
    ("ipyparallel.util", "_execute"): execute,
    ("ipyparallel.client.remotefunction", "_map"): map_list,
    ("ipyparallel.client.remotefunction", "<lambda>"): map_list,  # the name that 7.1 ships
    ("ipyparallel.client.view", "_broadcast_map"): broadcast_map,
    ("ipyparallel.serialize.canning", "_uncan_dependent_hook"): pickling.check_dependency,
    ("ipyparallel.util", "become_dask_worker"): become_dask_worker,
    ("ipyparallel.util", "become_distributed_worker"): become_dask_worker,
    ("ipyparallel.util", "stop_distributed_worker"): stop_distributed_worker,
    ("ipyparallel", "bind_kernel"): bind_kernel,
})
for _module in ("ipyparallel.serialize.canning", "ipyparallel.serialize", "ipyparallel"):
    pickling.helpers[_module, "use_pickle"] = use_pickle
    pickling.helpers[_module, "use_cloudpickle"] = use_cloudpickle
    pickling.helpers[_module, "use_dill"] = use_dill
pickling.interactive.update(_require=("controller/dependency.py", require), remote_import=("client/view.py", remote_import))
