"""The modules of the worker import each other without circles."""

import ast
import os
import unittest

from . import harness


def imports():
    """Return, for each module of the worker, the modules that it imports anywhere, in functions too."""
    graph = {}
    for name in sorted(os.listdir(harness.HERE)):
        module, extension = os.path.splitext(name)
        if extension != ".py" or module == "loader":
            continue
        with open(os.path.join(harness.HERE, name), encoding="utf-8") as f:
            tree = ast.parse(f.read())
        found = graph[module] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.level == 1:
                found.update([node.module] if node.module else [alias.name for alias in node.names])
    return graph


class Modules(unittest.TestCase):
    def test_no_circle(self):
        graph = imports()
        self.assertIn("interrupt", graph["worker"])
        while graph:
            leaves = [m for m, used in graph.items() if not used]
            self.assertTrue(leaves, "these modules import each other in a circle: %s" % sorted(graph))
            for leaf in leaves:
                del graph[leaf]
            for used in graph.values():
                used.difference_update(leaves)
