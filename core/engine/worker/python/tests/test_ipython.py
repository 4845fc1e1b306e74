"""What happens when a cell needs the node's own IPython, and what happens when user code imports it."""

import importlib.util
import tempfile
import unittest

from . import harness


@unittest.skipIf(importlib.util.find_spec("IPython") is None, "this interpreter has no IPython")
class RealShell(harness.WorkerCase):
    block = False

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.env = {"IPYTHONDIR": folder.name}
        super().setUp()

    def shown(self, code, **kwargs):
        reply = self.run_cell(code, **kwargs)
        return [d[2]["data"]["text/plain"] for d in reply.data if d[0] == "execute_result"]

    def test_plain_cells_do_not_import_it(self):
        self.run_cell("a = 1\nprint(a)\n%pwd\n!true\ndisplay(a)\nget_ipython().user_ns")
        self.assertEqual(self.shown("import sys; 'IPython' in sys.modules"), ["False"])

    def test_unknown_magic_starts_it(self):
        self.run_cell("x = 1.123456")
        self.run_cell("%precision 3", count=2)
        self.assertEqual(self.shown("x", count=3), ["1.123"])
        self.assertEqual(self.shown("In[3], Out[3], _3, x is _3", count=4), ["('x', 1.123, 1.123, True)"])
        self.assertEqual(self.shown("x;", count=5), [])
        self.assertEqual(self.shown("x", count=5, silent=True, store=False), [])
        reply = self.worker.execute("def f():\n    1 / 0\nf()", count=6)
        self.assertEqual((reply.status, reply.ename), ("error", "ZeroDivisionError"))
        self.assertNotIn("interactiveshell", "\n".join(reply.traceback))
        self.assertEqual((reply.out, reply.err), ("", ""))
        self.assertEqual(self.worker.execute("1 +", count=7).ename, "SyntaxError")
        self.assertEqual(self.worker.execute("%no_such_magic", count=7).ename, "UsageError")
        self.assertEqual(self.shown("import asyncio\nawait asyncio.sleep(0, 8)", count=8), ["8"])
        self.run_cell("import __main__\nassert __main__.__dict__ is globals() and get_ipython().kernel.engine_id == 3", count=9)
        self.assertEqual(self.run_cell("print('p')\n!echo q", count=10).out, "p\nq\n")
        self.ok(self.worker.ask("C", []))
        self.assertEqual(self.worker.execute("x", count=1).ename, "NameError")
        self.assertEqual(self.shown("40 + 2", count=2), ["42"])
        self.assertEqual(self.shown("_ + 1, get_ipython().kernel.engine_id", count=3), ["(43, 3)"])

    def test_extension(self):
        self.run_cell("%load_ext autoreload")
        self.run_cell("%autoreload 2", count=2)
        self.assertEqual(self.shown("3", count=3), ["3"])

    def test_import_of_the_real_package(self):
        reply = self.run_cell("from IPython.display import display, HTML\nfrom IPython import get_ipython as g\nassert g() is get_ipython()\ndisplay(HTML('<b>'))\nHTML('<i>')")
        self.assertEqual([d[0] for d in reply.data], ["display_data", "execute_result"])
        self.assertEqual([d[2]["data"]["text/html"] for d in reply.data], ["<b>", "<i>"])
        self.assertEqual(self.shown("import sys; 'IPython' in sys.modules"), ["True"])


if __name__ == "__main__":
    unittest.main()
