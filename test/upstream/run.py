#!/usr/bin/env python3
"""Run upstream's own test suite with our controller in place of its own.

    python3 test/upstream/run.py --python PYTHON --name 7.1 [--only ours|upstream] [FILE...]

PYTHON has ipyparallel, its tests and what they need (run.sh makes such ones).
Each test file runs in a pytest of its own, in a HOME of its own, first with
upstream's controller, which is the baseline and is kept in build/conformance,
then with bin/ipcore. A test that passes in the baseline has to pass with ours,
at the second attempt at the latest; exceptions.txt names those that can't.
"""

import argparse
import concurrent.futures
import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = ROOT / "build" / "conformance"
STARTS = "IPCORE_CONFORMANCE_STARTS"
MOST_EXCEPTIONS = 5
FILE_LIMIT = 1200  # seconds for one test file; a hanging test costs the rest of it


@dataclasses.dataclass
class Suite:
    """One installed version of ipyparallel."""

    name: str
    python: str

    def __post_init__(self):
        found = self.ask("import ipyparallel.tests, os; print(os.path.dirname(ipyparallel.tests.__file__))")
        self.folder = pathlib.Path(found)
        packages = self.ask("from importlib.metadata import distributions as d; print(sorted(f'{x.name} {x.version}' for x in d()))")
        self.digest = hashlib.sha256(packages.encode()).hexdigest()[:12]

    def ask(self, code):
        done = subprocess.run([self.python, "-c", code], stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            sys.exit(f"error: {self.python} has no ipyparallel with tests; run test/upstream/run.sh")
        return done.stdout.strip()

    def files(self):
        return sorted(path.stem for path in self.folder.glob("test_*.py"))


def run_file(suite, file, controller, results, tests=()):
    """Run one test file; answer {test: result}. controller None is upstream's own."""
    results.parent.mkdir(parents=True, exist_ok=True)
    results.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="conformance-", ignore_cleanup_errors=True) as folder:
        # Temporary files do not lie below HOME: launchers write paths there in another way.
        home, temporary, starts = (os.path.join(folder, name) for name in ("home", "tmp", "starts"))
        os.mkdir(home)
        os.mkdir(temporary)
        open(starts, "w").close()
        env = {name: value for name, value in os.environ.items() if not name.startswith(("IPP_", "IPCORE_", "IPYTHON", "JUPYTER", "PYTHON"))}
        env |= {
            "HOME": home, "TMPDIR": temporary, "PYTHONPATH": str(HERE / "site"), "PYTHONDONTWRITEBYTECODE": "1",
            "PATH": os.path.dirname(suite.python) + os.pathsep + env["PATH"],
            "IPCORE_CONFORMANCE_RESULTS": str(results), STARTS: starts,
        }
        if controller:
            env["IPCORE_CONFORMANCE_CONTROLLER"] = controller
        names = [str(suite.folder / test) for test in tests] or [str(suite.folder / f"{file}.py")]
        command = [
            suite.python, "-m", "pytest", "-p", "conformance_record", "-p", "no:cacheprovider", "-c", str(HERE / "pytest.ini"),
            "--rootdir", str(suite.folder), "--tb=short", "-q", *names,
        ]
        with open(results.with_suffix(".log"), "w") as log:
            process = subprocess.Popen(command, cwd=home, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
            try:
                process.wait(FILE_LIMIT)
            except subprocess.TimeoutExpired:
                log.write(f"\nended after {FILE_LIMIT} s\n")
                process.kill()
                process.wait()
            finally:
                end_descendants(starts)
    return read(results)


def end_descendants(starts):
    """Kill what a test file left running: what has its mark in the environment."""
    mark = f"{STARTS}={starts}".encode()
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                os.kill(int(entry.name), signal.SIGKILL)
        except OSError:
            continue  # ended meanwhile, or somebody else's


def read(path):
    try:
        with open(path) as lines:
            return {line["test"]: line for line in map(json.loads, lines)}
    except FileNotFoundError:
        return {}


def passed(result):
    return result is not None and result["outcome"] == "passed"


def baseline(suite, file):
    """Results with upstream's controller: measured once for a set of packages."""
    path = BUILD / f"baseline-{suite.name}-{suite.digest}" / f"{file}.jsonl"
    done = path.with_suffix(".done")
    if done.exists():
        return read(path)
    results = run_file(suite, file, None, path)
    done.touch()
    return results


def ours(suite, file, expected, controller):
    """Results with our controller; what should pass and doesn't gets one more attempt."""
    path = BUILD / f"ours-{suite.name}" / f"{file}.jsonl"
    results = run_file(suite, file, controller, path)
    again = [test for test, result in expected.items() if passed(result) and not passed(results.get(test))]
    if again:
        second = run_file(suite, file, controller, path.with_suffix(".second.jsonl"), again)
        for test, result in second.items():
            if passed(result):
                results[test] = result | {"second": True}
            else:
                results.setdefault(test, result)
    return results


def exceptions(name):
    """{test: reason} of exceptions.txt that hold for a suite."""
    found = {}
    for line in (HERE / "exceptions.txt").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            suites, test, reason = line.split(None, 2)
            if name in suites.split(","):
                found[test] = reason
    if len(found) > MOST_EXCEPTIONS:
        sys.exit(f"error: exceptions.txt has {len(found)} exceptions for {name}, at most {MOST_EXCEPTIONS} are allowed")
    return found


def compare(suite, expected, results):
    """Print how results stand to the baseline; answer whether all is as it has to be."""
    allowed = exceptions(suite.name)
    groups = {True: [0, 0], False: [0, 0]}  # with a controller or not: passed with ours, in the baseline
    good = True
    for test, result in sorted(expected.items()):
        if not passed(result):
            continue
        got = results.get(test)
        # A controller that nobody waits for may be noted in the next test: it
        # has to be seen in both runs.
        group = groups[result["controller"] and (not passed(got) or got["controller"])]
        group[1] += 1
        if passed(got):
            group[0] += 1
            if got.get("second"):
                print(f"  at the second attempt: {test}")
        elif test in allowed:
            print(f"  exception: {test}: {allowed[test]}")
        else:
            good = False
            print(f"  FAILED: {test} ({got['outcome'] if got else 'did not run'})")
    extra = [test for test, result in results.items() if passed(result) and not passed(expected.get(test))]
    if extra:
        print(f"  {len(extra)} tests pass with ours that do not with upstream's")
    print(f"{suite.name}: tests that started a controller: {groups[True][0]} of {groups[True][1]} that pass with upstream's")
    print(f"{suite.name}: the rest: {groups[False][0]} of {groups[False][1]}")
    write_counts(suite, groups, good)
    return good and groups[True][1] > 0


def write_counts(suite, groups, good):
    path = BUILD / f"result-{suite.name}.json"
    counts = {key: {"passed": group[0], "baseline": group[1]} for key, group in (("controller", groups[True]), ("rest", groups[False]))}
    path.write_text(json.dumps({"suite": suite.name, "good": good, **counts}, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--python", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--controller", default=str(ROOT / "bin" / "ipcore"))
    parser.add_argument("-j", "--jobs", type=int, default=1, help="test files at a time")
    parser.add_argument("--fresh", action="store_true", help="measure the baseline again")
    parser.add_argument("files", nargs="*", help="test_client and the like; all when none is named")
    options = parser.parse_args()
    suite = Suite(options.name, os.path.abspath(options.python))
    files = [pathlib.Path(file).stem for file in options.files] or suite.files()
    if options.fresh:
        shutil.rmtree(BUILD / f"baseline-{suite.name}-{suite.digest}", ignore_errors=True)

    def work(file):
        began = time.monotonic()
        expected = baseline(suite, file)
        middle = time.monotonic()
        results = ours(suite, file, expected, options.controller)
        count = sum(map(passed, results.values()))
        print(f"{suite.name} {file}: {count} pass, {sum(map(passed, expected.values()))} in the baseline"
              f" ({time.monotonic() - middle:.0f} s, baseline {middle - began:.0f} s)", flush=True)
        return expected, results

    expected, results = {}, {}
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for one, other in pool.map(work, files):
            expected |= one
            results |= other
    sys.exit(not compare(suite, expected, results))


if __name__ == "__main__":
    main()
