# python -c <this text> CHANNEL_FD FAULT_FD; README.md in the same folder has the contract.
import os, sys
from _frozen_importlib import ModuleSpec
def _read(n, fd=int(sys.argv[1])):
    data = b""
    while len(data) < n:
        data += os.read(fd, n - len(data)) or os._exit(0)
    return data
class Package:
    root, sources = "ipcore_worker", {}
    def find_spec(self, name, path=None, target=None):
        if name == self.root or name.startswith(self.root + ".") and name[len(self.root) + 1:] in self.sources:
            return ModuleSpec(name, self, origin="<%s>" % name, is_package=name == self.root)
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        name = module.__name__
        exec(compile(self.sources.get(name[len(self.root) + 1:], b""), "<%s>" % name, "exec", 0, True), module.__dict__)
_n = int.from_bytes(_read(4)[2:], "little")
_sizes = _read(8 * _n)
_parts = [_read(int.from_bytes(_sizes[i:i + 8], "little")) for i in range(0, 8 * _n, 8)]
Package.sources.update(zip(map(bytes.decode, _parts[::2]), _parts[1::2]))
sys.meta_path.insert(0, Package())
from ipcore_worker import worker
worker.run(int(sys.argv[1]), int(sys.argv[2]))
