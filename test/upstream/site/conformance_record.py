"""A pytest plugin that writes the outcome of each test as a line of JSON.

A test started a controller when sitecustomize noted a start while it ran, or
while one of its fixtures was set up.
"""

import json
import os

import pytest

starts_file = os.environ["IPCORE_CONFORMANCE_STARTS"]
results_file = os.environ["IPCORE_CONFORMANCE_RESULTS"]
fixtures_with_controller = {}  # fixture definition: whether its last set-up started one
reports = {}  # test id: the reports of its phases


def starts():
    """How many bytes of starts have been noted."""
    try:
        return os.path.getsize(starts_file)
    except FileNotFoundError:
        return 0


def has_controller(item):
    definitions = item._fixtureinfo.name2fixturedefs
    return any(
        fixtures_with_controller.get(definition)
        for name in item.fixturenames
        for definition in definitions.get(name, ())
    )


@pytest.hookimpl(hookwrapper=True)
def pytest_fixture_setup(fixturedef):
    before = starts()
    yield
    fixtures_with_controller[fixturedef] = starts() > before


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    before = starts()
    reports[item.nodeid] = []
    yield
    write(item, starts() > before or has_controller(item))


def pytest_runtest_logreport(report):
    reports[report.nodeid].append(report)


def outcome(phases):
    if any(report.failed for report in phases):
        return "failed"
    if any(report.skipped for report in phases):
        return "skipped"
    return "passed"


def write(item, controller):
    phases = reports.pop(item.nodeid)
    line = {
        # The folder that pytest runs in is not part of a test's name.
        "test": item.nodeid.split("/")[-1],
        "outcome": outcome(phases),
        "controller": controller,
        "seconds": round(sum(report.duration for report in phases), 2),
        "why": "\n".join(str(report.longrepr) for report in phases if not report.passed),
        "output": "\n".join(f"[{name}]\n{text}" for report in phases if report.failed for name, text in report.sections)[-20000:],
    }
    with open(results_file, "a") as file:
        file.write(json.dumps(line) + "\n")
