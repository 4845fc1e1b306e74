"""Cells: results, errors, output, magics, display."""

import json
import os
import unittest

from .harness import WorkerCase


class Execute(WorkerCase):
    def shown(self, code, **kwargs):
        """Run a cell; return the text of its result, or None."""
        reply = self.run_cell(code, **kwargs)
        results = [d for d in reply.data if d[0] == "execute_result"]
        return results[0][2]["data"]["text/plain"] if results else None

    def test_value_of_the_last_expression(self):
        self.assertEqual(self.shown("a = 20\na + 1"), "21")
        self.assertIsNone(self.shown("a;"))
        self.assertIsNone(self.shown("a ; # not shown"))
        self.assertEqual(self.shown("'x;y'  # ;"), "'x;y'")
        self.assertIsNone(self.shown("a", silent=True))
        self.assertIsNone(self.shown("None"))
        self.assertIsNone(self.shown(""))
        self.assertEqual(self.shown("'é' + 'ü'"), "'éü'")

    def test_history(self):
        self.assertEqual(self.shown("6 * 7", count=4), "42")
        self.assertEqual(self.shown("_, Out[4], In[4], _i, _4", count=5), "(42, 42, '6 * 7', '6 * 7', 42)")

    def test_reply_and_parent(self):
        reply = self.run_cell("1", count=7)
        kind, parent, content, buffers = reply.data[0]
        self.assertEqual((kind, parent, content["execution_count"], buffers), ("execute_result", reply.msg_id, 7, []))
        self.assertEqual(reply.parts, [b"{}"])

    def test_error(self):
        reply = self.worker.execute("def f():\n    return 1 / 0\n\nf()")
        self.assertEqual((reply.status, reply.ename, reply.evalue), ("error", "ZeroDivisionError", "division by zero"))
        text = "\n".join(reply.traceback)
        self.assertIn("Traceback (most recent call last)", reply.traceback[0])
        self.assertIn("ZeroDivisionError", reply.traceback[0])
        self.assertIn("return 1 / 0", text)
        self.assertNotIn("ipcore", text)
        self.assertEqual(self.shown("import sys; sys.last_value"), "ZeroDivisionError('division by zero')")

    def test_errors_of_every_kind_get_a_reply(self):
        for code, ename in (
            ("import sys; sys.exit(3)", "SystemExit"),
            ("exit()", "SystemExit"),
            ("raise KeyboardInterrupt", "KeyboardInterrupt"),
            ("raise GeneratorExit", "GeneratorExit"),
            ("1 +", "SyntaxError"),
            ("class E(Exception):\n    def __str__(self): raise ValueError\nraise E", "E"),
            ("class F(Exception):\n    def __str__(self): raise SystemExit\n    __repr__ = __str__\nraise F", "F"),
            ("class G(Exception):\n    def __getattribute__(self, n): raise ValueError\nraise G", "G"),
            ("raise ValueError('\\ud800')", "ValueError"),
            ("raise ValueError('a\\0b')", "ValueError"),
            ("input()", "StdinNotImplementedError"),
            ("def f(): f()\nf()", "RecursionError"),
            ("class R:\n    def __repr__(self): raise LookupError('r')\nR()", "LookupError"),
            ("%no_such_magic", "UsageError"),
            ("%%no_such_magic\nx", "UsageError"),
            ("import asyncio\nawait asyncio.sleep(0)\n1/0", "ZeroDivisionError"),
        ):
            reply = self.worker.execute(code)
            self.assertEqual((code, reply.status, getattr(reply, "ename", None)), (code, "error", ename))
            self.assertIn("Traceback (most recent call last)", "\n".join(reply.traceback))
        self.assertEqual(self.shown("1 + 1"), "2")

    def test_nul_byte(self):
        self.assertIn(self.worker.execute("\0").ename, ("SyntaxError", "ValueError"))  # differs by release

    def test_chained_errors_and_cause(self):
        reply = self.worker.execute("try:\n    {}['k']\nexcept KeyError as e:\n    raise RuntimeError('outer') from e")
        text = "\n".join(reply.traceback)
        self.assertIn("KeyError", text)
        self.assertIn("direct cause", text)
        self.assertTrue(reply.traceback[-1].startswith("RuntimeError: outer"))

    def test_output_comes_before_the_reply(self):
        reply = self.run_cell("import os, sys\nprint('a'); sys.stderr.write('b'); os.write(1, b'c'); os.system('echo d'); sys.stdout.write('e')")
        self.assertEqual(reply.out, "a\ncd\ne")
        self.assertEqual(reply.err, "b")
        self.assertEqual(self.run_cell("print('\\ud800é')").out, "\\ud800é\n")

    def test_much_output(self):
        reply = self.run_cell("print('x' * 3000000)\nfor i in range(20000): print(i)")
        self.assertEqual(len(reply.out), 3000001 + sum(len(str(i)) + 1 for i in range(20000)))

    def test_top_level_await(self):
        code = "import asyncio\nasync def f():\n    await asyncio.sleep(0.01)\n    return 5\nx = await f()\nx + await f()"
        self.assertEqual(self.shown(code), "10")

    def test_future_statements_last(self):
        self.run_cell("from __future__ import annotations")
        self.assertEqual(self.shown("def f(x: no_such_name): pass\nf.__annotations__['x']"), "'no_such_name'")

    def test_source_of_cells(self):
        self.run_cell("def f():\n    return 12")
        self.assertIn("return 12", self.run_cell("import inspect\nprint(inspect.getsource(f))").out)

    def test_user_expressions(self):
        reply = self.run_cell("y = 3", expressions={"a": "y + 1", "b": "nope"})
        values = json.loads(reply.parts[0])
        self.assertEqual(values["a"], {"status": "ok", "data": {"text/plain": "4"}, "metadata": {}})
        self.assertEqual((values["b"]["status"], values["b"]["ename"]), ("error", "NameError"))

    def test_main_module(self):
        self.assertEqual(self.shown("import sys, __main__\n__main__.__dict__ is globals(), __name__"), "(True, '__main__')")
        self.assertEqual(self.shown("class C: pass\nimport pickle\ntype(pickle.loads(pickle.dumps(C()))) is C"), "True")
        self.assertEqual(self.shown("hasattr(__main__, '__file__'), sys.argv, sys.path[0]"), "(False, [''], '')")

    def test_clear_keeps_the_dict(self):
        self.run_cell("keep = id(globals()); import builtins; builtins.kept = keep; v = 1")
        self.ok(self.worker.ask("C", []))
        self.assertEqual(self.shown("import builtins; builtins.kept == id(globals()), 'v' in globals(), len(In)"), "(True, False, 2)")

    def test_display(self):
        code = "class P:\n    def _repr_html_(self): return '<b>x</b>'\n    def __repr__(self): return 'P!'\nfrom IPython.display import display, HTML, clear_output\nprint('first')\ndisplay(P(), HTML('<i>'))\nclear_output()\nh = display(1, display_id=True)\nh.update(2)\nP()"
        reply = self.run_cell(code)
        kinds = [d[0] for d in reply.data]
        self.assertEqual(
            kinds, ["display_data", "display_data", "clear_output", "display_data", "update_display_data", "execute_result"]
        )
        self.assertEqual(reply.data[0][2]["data"], {"text/html": "<b>x</b>", "text/plain": "P!"})
        self.assertEqual(reply.data[1][2]["data"]["text/html"], "<i>")
        self.assertEqual(reply.data[3][2]["transient"], reply.data[4][2]["transient"])

    def test_display_of_odd_objects(self):
        for body in (
            "def _repr_mimebundle_(self, include=None, exclude=None): return None",
            "def _repr_mimebundle_(self, include=None, exclude=None): return {'text/plain': 'O'}, {'text/plain': {'a': 1}}",
            "def _repr_html_(self): 1/0",
            "def _repr_png_(self): return b'\\x89PNG', {'width': 3}",
            "def _repr_json_(self): return {'a': float('nan'), 'b': {1, 2}, 3: b'x'}",
            "def __getattr__(self, name): return lambda *a, **k: 'everything'",
            "def _repr_pretty_(self, p, cycle): p.text('O')",
        ):
            reply = self.run_cell("class O:\n    %s\n    def __repr__(self): return 'O'\nO()" % body)
            self.assertEqual(reply.data[-1][2]["data"]["text/plain"], "O", body)

    def test_shell_commands(self):
        reply = self.run_cell("!echo hello $HOME-{1+1}\nfiles = !printf 'a\\nb\\n'\nprint(files, files.n)")
        self.assertEqual(reply.out, "hello %s-2\n['a', 'b'] a\nb\n" % os.environ.get("HOME", ""))
        self.assertEqual(self.run_cell("%%bash\necho in-bash\necho err >&2").out, "in-bash\n")
        self.assertEqual(self.worker.execute("%%bash\nexit 3").ename, "CalledProcessError")
        self.assertEqual(self.run_cell("if True:\n    !echo nested").out, "nested\n")

    def test_line_magics(self):
        self.assertEqual(self.run_cell("%cd /\nimport os\nprint(os.getcwd())").out, "/\n/\n")
        self.assertEqual(self.shown("%pwd"), "'/'")
        self.assertEqual(self.shown("w = %pwd\nw"), "'/'")
        self.assertEqual(self.shown("%env IPCORE_T=5\nos.environ['IPCORE_T']"), "'5'")
        self.assertIn("Wall time", self.run_cell("%time x = 5\nprint(x)").out)
        self.assertIn("per loop", self.run_cell("%timeit -n 5 -r 2 1 + 1").out)
        self.assertIn("Wall time", self.run_cell("%%time\ny = 6\n").out)
        self.assertEqual(self.shown("x, y"), "(5, 6)")
        self.assertIn("Docstring", self.run_cell("len?").out)
        self.run_cell("s = '''\n%not a magic\n!neither\n'''\n%matplotlib inline\nassert '%not' in s")
        self.assertEqual(self.run_cell("cd /tmp").out, os.path.realpath("/tmp") + "\n")

    def test_run_magic(self):
        self.run_cell("open('/tmp/ipcore-%d.py' % __import__('os').getpid(), 'w').write('import sys\\nq = sys.argv[1] + __name__')")
        reply = self.run_cell("import os\np = '/tmp/ipcore-%d.py' % os.getpid()\n%run {p} arg\nprint(q, __name__)\nos.remove(p)")
        self.assertEqual(reply.out, "arg__main__ __main__\n")

    def test_get_ipython(self):
        self.run_cell("from IPython import get_ipython as g\nip = g()\nassert ip is get_ipython() and ip.user_ns is globals()")
        self.assertEqual(self.shown("ip.kernel.engine_id, ip.kernel.ident"), "(3, 'u-3')")
        self.assertEqual(self.run_cell("r = ip.run_cell('zz = 4\\nprint(zz)')\nassert r.success and zz == 4").out, "4\n")
        self.run_cell("from IPython.core.magic import register_line_magic\n@register_line_magic\ndef twice(line): return line * 2")
        self.assertEqual(self.shown("%twice ab"), "'abab'")
        self.assertEqual(self.worker.execute("ip.no_such_thing").ename, "AttributeError")

    def test_multiprocessing(self):
        code = "import multiprocessing as mp\ndef f(x): return x * x\nwith mp.get_context('fork').Pool(2) as p: print(p.map(f, [1, 2, 3]))"
        self.assertEqual(self.run_cell(code).out, "[1, 4, 9]\n")

    def test_forked_child_that_returns(self):
        self.run_cell("import os\npid = os.fork()\nif pid: os.waitpid(pid, 0)")
        self.assertEqual(self.shown("1"), "1")

    def test_jupyter_requests(self):
        self.run_cell("value_one = 1")

        def ask(kind, content):
            reply = self.ok(self.worker.ask("J", [kind.encode(), json.dumps(content).encode()]))
            return json.loads(reply.parts[0])

        self.assertEqual(ask("complete_request", {"code": "value_", "cursor_pos": 6})["matches"], ["value_one"])
        self.assertTrue(ask("inspect_request", {"code": "len", "cursor_pos": 3})["found"])
        self.assertFalse(ask("inspect_request", {"code": "nope", "cursor_pos": 3})["found"])
        self.assertEqual(ask("is_complete_request", {"code": "for i in x:"})["status"], "incomplete")
        self.assertEqual(ask("is_complete_request", {"code": "1 + 1"})["status"], "complete")
        self.assertEqual(ask("is_complete_request", {"code": "1 +* 1"})["status"], "invalid")
        self.assertEqual(ask("history_request", {"hist_access_type": "tail", "n": 5})["history"], [[0, 1, "value_one = 1"]])
        self.assertEqual(ask("comm_info_request", {})["comms"], {})
        self.assertEqual(ask("odd_request", {})["status"], "ok")


if __name__ == "__main__":
    unittest.main()
