"""The real client's payloads, from every interpreter that has the client library."""

import importlib.util
import json
import os
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))


class Client:
    """The operations of one client."""

    variable = ""
    block = True

    def test_operations(self):
        python = os.environ.get(self.variable)
        if not python:
            self.skipTest("%s does not name an interpreter with the client library" % self.variable)
        if not self.block and importlib.util.find_spec("ipyparallel") is None:
            self.skipTest("this interpreter has no client library that a worker could import")
        version = "import sys; print('%d.%d' % sys.version_info[:2])"
        theirs = subprocess.run([python, "-c", version], stdout=subprocess.PIPE, check=True).stdout.decode().strip()
        same = theirs == "%d.%d" % sys.version_info[:2]
        done = subprocess.run(
            [python, os.path.join(HERE, "operations.py"), sys.executable, "01"[self.block], "01"[same]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=120,
        )
        results = [json.loads(line) for line in done.stdout.decode().splitlines()]
        for name, wrong in results:
            with self.subTest(operation=name):
                self.assertIsNone(wrong, wrong)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        self.assertGreater(len(results), 30 if same else 12)


class Client71(Client, unittest.TestCase):
    variable = "IPCORE_TEST_PY71"


class Client71Importable(Client71):
    block = False


class Client91(Client, unittest.TestCase):
    variable = "IPCORE_TEST_PY91"


class Client91Importable(Client91):
    block = False


if __name__ == "__main__":
    unittest.main()
