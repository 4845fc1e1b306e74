#!/usr/bin/env python3
"""Run Python suites and write their counts where tally finds them.

    python3 test/run.py [--name NAME] [--dir build/results] [-k PATTERN] SUITE...

A suite is a folder beside this file (client, system). The Python that runs this
is the one whose ipyparallel is tested.
"""

import argparse
import json
import os
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))


class Result(unittest.TextTestResult):
    """Adds how long each test took, and the names of those that passed."""

    def __init__(self, *args, **kw):
        super().__init__(*args, **kw)
        self.passed = []

    def startTest(self, test):
        self.began = time.monotonic()
        super().startTest(test)

    def addSuccess(self, test):
        self.passed.append(test.id())
        self.stream.write(f"{time.monotonic() - self.began:.1f} s ... ")
        super().addSuccess(test)

    def getDescription(self, test):
        return test.id()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("suites", nargs="+")
    parser.add_argument("--name", default="python")
    parser.add_argument("--dir", default=os.path.join(os.path.dirname(HERE), "build", "results"))
    parser.add_argument("-k", dest="patterns", action="append", metavar="PATTERN")
    parser.add_argument("-f", dest="failfast", action="store_true")
    options = parser.parse_args()

    loader = unittest.TestLoader()
    if options.patterns:
        loader.testNamePatterns = [p if "*" in p else f"*{p}*" for p in options.patterns]
    suite = unittest.TestSuite(
        loader.discover(os.path.join(HERE, s), pattern="test_*.py", top_level_dir=HERE) for s in options.suites
    )
    runner = unittest.TextTestRunner(verbosity=2, resultclass=Result, failfast=options.failfast)
    result = runner.run(suite)

    failed = [t.id() for t, _ in result.failures + result.errors] + [t.id() for t in result.unexpectedSuccesses]
    os.makedirs(options.dir, exist_ok=True)
    with open(os.path.join(options.dir, options.name + ".json"), "w") as f:
        json.dump(
            {
                "name": options.name,
                "passed": len(result.passed),
                "failed": failed,
                "skipped": [f"{t.id()}: {why}" for t, why in result.skipped],
            },
            f, indent=2,
        )
    if not result.testsRun and not failed:
        sys.exit("error: no test ran")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
