"""Apply requests, with the worker's own canning code as the client; and what may never cost a reply."""

import functools
import os
import signal
import sys
import time
import types
import unittest

from . import harness

package = sys.modules.setdefault("ipcore_worker", types.ModuleType("ipcore_worker"))
package.__path__ = [harness.HERE]

from ipcore_worker import bytecode, canning, helpers, pickling  # noqa: E402


def in_main(f):
    """Make f a function of __main__."""
    f.__module__ = "__main__"
    return f


class Apply(harness.WorkerCase):
    def apply(self, f, *args, **kwargs):
        return self.worker.apply([bytes(b) for b in canning.pack_apply(f, args, kwargs)])

    def value(self, f, *args, **kwargs):
        value, rest = canning.deserialize(self.ok(self.apply(f, *args, **kwargs)).parts)
        self.assertEqual(rest, [])
        return value

    def error(self, ename, f, *args, **kwargs):
        reply = self.apply(f, *args, **kwargs)
        self.assertEqual((reply.status, getattr(reply, "ename", reply)), ("error", ename))
        return reply

    def evaluate(self, expression):
        return self.value(eval, expression, canning.Reference("globals()"))

    def test_functions(self):
        n = 3
        self.assertEqual(self.value(in_main(lambda x: x + n), 4), 7)
        self.assertEqual(self.value(functools.partial(in_main(lambda a, b: (len(a), b)), b"x" * 3000), b=2), (3000, 2))
        f = self.value(in_main(lambda x: (lambda y: x + y)), 5)
        self.assertEqual(f(6), 11)
        self.assertEqual(self.value(os.getpid), self.worker.process.pid)

    def test_buffers(self):
        for value in (b"a" * 70000, b"b" * 3000000, [b"c" * 2000, b"d" * 5, b"e" * 100000], {"k": b"f" * 1025}, b"g" * 1024):
            self.assertEqual(self.value(in_main(lambda x: x), value), value)
        view = self.value(in_main(lambda x: x), memoryview(b"v" * 200000))
        self.assertEqual((type(view), bytes(view)), (memoryview, b"v" * 200000))
        strided = self.evaluate("memoryview(b'0123456789' * 500)[::2]")
        self.assertEqual(bytes(strided), b"02468" * 500)

    def test_requests_never_share_memory(self):
        keep = in_main(lambda x: KEPT.append(x))  # noqa: F821
        self.run_cell("KEPT = []")
        for byte in (b"a", b"b"):
            self.value(keep, memoryview(byte * 100000))
        self.run_cell("KEPT[0][0] = 120")
        self.assertEqual(self.evaluate("[bytes(k[:2]) for k in KEPT]"), [b"xa", b"bb"])

    def test_large_argument(self):
        data = os.urandom(1 << 20) * 8
        self.assertEqual(self.value(len, data), len(data))
        self.assertEqual(self.value(in_main(lambda x: x), data), data)

    def test_helpers(self):
        module = types.ModuleType("ipyparallel.util")

        def named(name, where):
            f = types.FunctionType(in_main(lambda *a, **k: 1 / 0).__code__, {}, name)
            f.__module__ = where
            return f

        push, pull = named("_push", module.__name__), named("_pull", module.__name__)
        self.value(push, a=1, b=[2])
        self.assertEqual(self.value(pull, "a"), 1)
        self.assertEqual(self.value(pull, ["a", "b"]), [1, [2]])
        self.assertEqual(self.value(named("<lambda>", "ipyparallel.client.remotefunction"), abs, [-1]), [1])
        self.assertEqual(self.value(named("_map", "ipyparallel.client.remotefunction"), abs, [-1]), [1])
        self.assertEqual(self.error("RuntimeError", named("bind_kernel", "ipyparallel")).flags, {})
        self.error("ZeroDivisionError", named("_push", "__main__"))  # a user's own function of that name
        self.assertEqual(self.value(in_main(named("unknown", "ipyparallel.no_such") and (lambda: 1))), 1)

    def test_dependent(self):
        f, yes, no = in_main(lambda: 1), in_main(lambda: True), in_main(lambda: False)
        self.assertEqual(self.value(canning.dependent(f, yes)), 1)
        self.assertEqual(self.error("UnmetDependency", canning.dependent(f, no)).flags, {"dependencies_met": False})

    def test_every_request_gets_one_reply(self):
        def odd(kind):
            if kind == "unpicklable":
                return lambda: (yield)
            if kind == "lock":
                import _thread

                return _thread.allocate_lock()
            if kind == "reduce":

                class R:
                    def __reduce__(self):
                        raise SystemExit

                return R()
            if kind == "frozen":
                sys.stdout = None  # noqa: F821
                return 1
            if kind == "closed":
                import sys as system

                system.stdout.close()
                return 1
            if kind == "recursion":
                x = []
                for _ in range(100000):
                    x = [x]
                return x
            if kind == "chain":
                e = ValueError("loop")
                e.__context__ = e
                raise e
            if kind == "text":

                class E(Exception):
                    __module__ = None

                    def __str__(self):
                        return 5

                raise E
            if kind == "base":
                raise BaseException("b")

        in_main(odd)
        self.run_cell("import sys")
        for kind in ("lock", "reduce", "frozen", "recursion", "chain", "text", "base", "closed"):
            self.assertIn(self.apply(odd, kind).status, ("ok", "error"), kind)
            self.assertEqual(self.value(abs, -1), 1)

    def test_broken_buffers(self):
        good = [bytes(b) for b in canning.pack_apply(abs, (1,), {})]
        for buffers in ([], [b""], [b"x", b"y"], good[:-1], good + [b""], good[:1], [good[0], b"\x80\x04N.", b""]):
            self.assertEqual(self.worker.apply(buffers).status, "error")
        self.assertEqual(self.value(abs, -2), 2)

    def test_foreign_code(self):
        f = canning.CannedFunction(in_main(lambda x: x))
        code = list(pickling.reduce_code(f.code)[1])

        def sent(fields, session="1"):
            class Pickled:
                def __reduce__(self):
                    return pickling.code_ctor, tuple(fields)

            f.code = Pickled()
            buffers = [pickling.dumps(f), pickling.native.dumps({"nargs": 1, "narg_bufs": 1, "kw_keys": []}), pickling.dumps(3)]
            return self.worker.apply(buffers, session)

        self.assertEqual(canning.deserialize(self.ok(sent(code)).parts)[0], 3)
        wrong = sent(code[:-1], "2")
        self.assertEqual(wrong.ename, "PythonVersionMismatch")
        self.assertIn("<lambda>", wrong.evalue)
        self.assertEqual(sent(code, "2").ename, "PythonVersionMismatch")  # the session is foreign from now on
        self.ok(sent(code, "1"))
        changed = list(code)
        changed[6] = b"\xff\xff" * 4
        self.assertEqual(sent(changed, "3").ename, "PythonVersionMismatch")

    def test_code_of_the_library_is_not_foreign(self):
        import ast
        import inspect
        import subprocess
        import tokenize
        import typing
        import unittest.mock as mock

        def codes(code):
            yield code
            for const in code.co_consts:
                if isinstance(const, types.CodeType):
                    for inner in codes(const):
                        yield inner

        count = 0
        for module in (ast, inspect, subprocess, tokenize, typing, mock, unittest.case, functools, harness):
            with open(module.__file__, encoding="utf-8") as f:
                top = compile(f.read(), module.__file__, "exec")
            for code in codes(top):
                count += 1
                self.assertIsNone(bytecode.foreign(pickling.reduce_code(code)[1]), code)
        self.assertGreater(count, 500)

    def test_threads_print_and_display_for_the_last_request(self):
        code = "import threading\ndef later():\n    go.wait()\n    display('t')\n    done.set()\ngo, done = threading.Event(), threading.Event()\nthreading.Thread(target=later).start()"
        self.run_cell(code)
        reply = self.run_cell("go.set(); done.wait(10);")
        self.assertEqual([d[1] for d in reply.data], [reply.msg_id])

    def test_interrupt(self):
        self.run_cell("import time\ndef spin():\n    print('started', flush=True)\n    while True: time.sleep(0.01)")
        self.worker.number += 1
        self.worker.write("E", [b"i-1", b"spin()", b"2", b""], 2)
        self.wait_for_output("started")
        self.worker.process.send_signal(signal.SIGINT)
        reply = self.worker.reply()
        self.assertEqual((reply.msg_id, reply.ename), ("i-1", "KeyboardInterrupt"))
        self.worker.process.send_signal(signal.SIGINT)  # idle: nothing happens
        self.assertEqual(self.value(abs, -1), 1)

    def wait_for_output(self, text):
        end = time.monotonic() + harness.DEADLINE
        while text not in self.worker.drain()[0]:
            self.assertLess(time.monotonic(), end, "the worker printed nothing")
            import select

            select.select([self.worker.out_r], [], [], 1)

    def test_interrupt_of_pickling_at_the_second_signal(self):
        code = "class Slow:\n    def __reduce__(self):\n        print('in reduce')\n        import time\n        while True: time.sleep(0.01)"
        self.run_cell(code)
        buffers = [bytes(b) for b in canning.pack_apply(canning.Reference("Slow"), (), {})]
        self.worker.write("A", [b"p-1", b"1"] + buffers)
        self.wait_for_output("in reduce")
        end = time.monotonic() + harness.DEADLINE
        import select

        while not select.select([self.worker.socket], [], [], 0.05)[0]:
            self.worker.process.send_signal(signal.SIGINT)
            self.assertLess(time.monotonic(), end)
        reply = self.worker.reply()
        self.assertEqual((reply.msg_id, reply.ename), ("p-1", "KeyboardInterrupt"))

    def test_interrupt_of_await(self):
        code = "import asyncio\ntry:\n    print('waiting')\n    await asyncio.sleep(60)\nfinally:\n    print('cleaned up')"
        self.worker.write("E", [b"w-1", code.encode(), b"1", b""], 2)
        self.wait_for_output("waiting")
        self.worker.process.send_signal(signal.SIGINT)
        reply = self.worker.reply()
        self.assertEqual((reply.ename, "cleaned up" in reply.out), ("KeyboardInterrupt", True))
        self.assertEqual(self.run_cell("await asyncio.sleep(0, 5)").data[0][2]["data"]["text/plain"], "5")

    def test_storm_of_signals(self):
        """One reply to each request, in order, whatever moment SIGINT comes at."""
        import random

        work = in_main(lambda n: sum(range(n)))
        requests = []
        for n in (0, 100, 20000):
            requests.append(("A", [b"1"] + [bytes(b) for b in canning.pack_apply(work, (n,), {})], 0))
        requests.append(("A", [b"1"] + [bytes(b) for b in canning.pack_apply(in_main(lambda x: x), (b"z" * 100000,), {})], 0))
        requests.append(("E", [b"x = [i for i in range(2000)]\ndisplay(x[0])\nx[1]", b"1", b""], 2))
        requests.append(("E", [b"1/0", b"1", b""], 2))
        dice = random.Random(1)
        end = time.monotonic() + 2
        pid = self.worker.process.pid
        answered = interrupted = 0
        import threading

        stop = threading.Event()

        def storm():
            while not stop.wait(dice.random() * 0.0006):
                os.kill(pid, signal.SIGINT)

        thread = threading.Thread(target=storm)
        thread.start()
        try:
            while time.monotonic() < end:
                kind, parts, flags = dice.choice(requests)
                reply = self.worker.ask(kind, parts, flags)
                answered += 1
                interrupted += reply.status == "error" and reply.ename == "KeyboardInterrupt"
        finally:
            stop.set()
            thread.join()
        self.assertGreater(answered, 100)
        self.assertGreater(interrupted, 0)
        self.assertEqual(self.value(abs, -1), 1)

    def test_handlers_of_the_user_cost_no_reply(self):
        code = "import signal\ndef bell(s, f): raise TimeoutError\nsignal.signal(signal.SIGALRM, bell)\nsignal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)\nsignal.signal(signal.SIGINT, signal.SIG_IGN)"
        self.worker.execute(code)
        for i in range(300):
            self.assertIn(self.apply(abs, -i).status, ("ok", "error"))
        while self.worker.execute("signal.setitimer(signal.ITIMER_REAL, 0)").status != "ok":
            pass
        self.assertEqual(self.value(abs, -1), 1)
        self.assertEqual(self.evaluate("__import__('signal').getsignal(2).__name__"), "_handle")

    def test_table_of_helpers_is_complete(self):
        for module, name in (("ipyparallel.util", "_push"), ("ipyparallel.client.view", "_broadcast_map")):
            self.assertIsNotNone(canning.by_code(module, name, "x.py"))
            self.assertIsNotNone(pickling.by_reference(module, "C." + name))
        self.assertIsNone(canning.by_code("__main__", "_require", "/home/me/my.py"))
        self.assertIsNotNone(canning.by_code("__main__", "_require", "/x/ipyparallel/controller/dependency.py"))


class End(unittest.TestCase):
    def test_quit_runs_exit_handlers(self):
        worker = harness.Worker()
        worker.execute("import atexit; atexit.register(print, 'bye')")
        worker.write("Q", [])
        worker.process.wait(harness.DEADLINE)
        self.assertEqual(worker.drain()[0], "bye\n")
        self.assertEqual(worker.close(), 0)

    def test_quit_does_not_wait_for_threads_for_ever(self):
        worker = harness.Worker()
        worker.execute("import threading, time; threading.Thread(target=time.sleep, args=(600,)).start()")
        start = time.monotonic()
        self.assertEqual(worker.close(), 0)
        self.assertLess(time.monotonic() - start, 10)

    def test_closed_channel_ends_the_worker(self):
        worker = harness.Worker()
        worker.socket.close()
        self.assertEqual(worker.process.wait(harness.DEADLINE), 0)
        worker.close()

    def test_a_forked_child_does_not_hold_the_channel(self):
        worker = harness.Worker()
        worker.execute("import os, time\npid = os.fork()\nif pid == 0:\n    time.sleep(60)\n    os._exit(0)\nprint(pid)")
        child = int(worker.execute("print(pid)").out)
        worker.process.kill()
        with self.assertRaises(EOFError):
            worker.read()
        os.kill(child, signal.SIGKILL)
        worker.close()

    def test_user_code_that_closes_the_channel(self):
        worker = harness.Worker()
        worker.write("E", [b"1", b"import os; os.closerange(3, 4096)", b"1", b""])
        with self.assertRaises(EOFError):
            worker.reply()
        self.assertEqual(worker.process.wait(harness.DEADLINE), 70)
        self.assertIn("lost its channel", worker.drain()[1])
        worker.close()

    def test_low_descriptors_are_the_users(self):
        worker = harness.Worker()
        self.assertEqual(worker.execute("import os; os.closerange(3, 100)").status, "ok")
        self.assertEqual(worker.execute("1").status, "ok")
        worker.close()

    def test_crash_leaves_a_stack(self):
        worker = harness.Worker()
        worker.write("E", [b"1", b"import os, signal\ndef deep(): os.kill(os.getpid(), signal.SIGSEGV)\ndeep()", b"1", b""])
        with self.assertRaises(EOFError):
            worker.reply()
        self.assertEqual(worker.process.wait(harness.DEADLINE), -signal.SIGSEGV)
        worker.fault.seek(0)
        self.assertIn(b"in deep", worker.fault.read())
        worker.close()

    def test_children_do_not_inherit_the_channel(self):
        worker = harness.Worker()
        reply = worker.execute("import os, subprocess\nprint(subprocess.check_output('ls -l /proc/self/fd', shell=True, close_fds=False).decode())")
        self.assertNotIn("socket", reply.out)
        worker.close()


if __name__ == "__main__":
    unittest.main()
