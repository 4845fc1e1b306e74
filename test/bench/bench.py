#!/usr/bin/env python3
"""Speed and memory beside upstream's, measured in the same minutes.

    python3 test/bench/bench.py [--runs 5] [--only TEXT] [--side ours] [--json FILE]

Every figure is the median of the runs (least to greatest), ours and upstream's
runs taking turns. Ratios are of medians; more than 1 means that ours is better.
The exit code is 1 when a limit of thresholds.json is not kept.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

import ipyparallel as ipp  # noqa: E402

from harness import processes  # noqa: E402
from harness.cluster import ROOT, Cluster, IPCORE  # noqa: E402

RATES = os.path.join(ROOT, "build", "rates")
OURS, UPSTREAM, MIXED = "ours", "upstream", "ours with upstream's engines"


def make(who, n):
    return {
        OURS: lambda: Cluster(n, starter="ipcore", engines="native"),
        UPSTREAM: lambda: Cluster(n, starter="ipcluster"),
        MIXED: lambda: Cluster(n, starter="ipcore", engines="classic"),
    }[who]()


def noop():
    pass


class Bench:
    def __init__(self, options):
        self.options = options
        self.figures = {}  # name -> who -> list of values

    def note(self, name, who, value):
        self.figures.setdefault(name, {}).setdefault(who, []).append(value)
        print(f"  {name}: {who}: {value:.4g}", flush=True)

    def wanted(self, *names):
        return any(self.options.only in n for n in names)

    def sides(self, *who):
        return [w for w in who if self.options.side in ("both", "upstream" if w == UPSTREAM else "ours")]

    def cycle(self, who, n):
        """Start, answer an apply on every engine, weigh, stop."""
        c = make(who, n)
        try:
            if who == UPSTREAM:
                os.makedirs(c.profile)
            began = time.monotonic()
            flag = "--daemonize=True" if who == UPSTREAM else "--daemonize"
            start = c.spawn(*c.command(flag), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            rc = answered(c, n)
            self.note(f"start {n} engines, s", who, time.monotonic() - began)
            start.wait()
            if n >= 16:
                self.weigh(c, who, rc)
            c.close_clients()
            began = time.monotonic()
            if who == UPSTREAM:
                c.run(sys.executable, "-m", "ipyparallel.cluster", "stop", f"--profile-dir={c.profile}", check=False)
            else:
                c.run(IPCORE, "stop", f"--profile-dir={c.profile}")
            processes.wait_until(lambda: not c.processes(), 60, "the end of all processes", interval=0.005)
            self.note(f"stop {n} engines, s", who, time.monotonic() - began)
        finally:
            c.close()

    def weigh(self, c, who, rc):
        """Memory of the controller's side, and of one engine with all that belongs to it."""
        engines = set()
        for i in rc.ids:
            pid = c.engine_pid(rc, i)
            engines |= {pid, *processes.children(pid)}
        rest = [p for p in c.processes() if p not in engines]
        self.note("engine with worker at 16, MB PSS", who, sum(map(processes.pss, engines)) / len(rc.ids) / 1e6)
        self.note("controller, supervisor, plugin, MB PSS", who, sum(map(processes.pss, rest)) / 1e6)

    def tasks(self):
        """Rates of no-op tasks, and the latency of one, all clusters up at once and taking turns."""
        clusters = {w: make(w, 4) for w in self.sides(OURS, MIXED, UPSTREAM)}
        try:
            views = {}
            for who, c in clusters.items():
                c.start()
                rc = c.client()
                views[who] = rc, rc.load_balanced_view()
                views[who][0][:].apply_sync(noop)
                run_tasks(views[who][1], 200)
            for _ in range(self.options.runs):
                for who, (rc, lb) in views.items():
                    name = "1,000 tasks, native engines, 1/s" if who == OURS else "1,000 tasks, upstream's engines, 1/s"
                    rate = 1000 / run_tasks(lb, 1000)
                    self.note(name, OURS if who == MIXED else who, rate)
                    if who == UPSTREAM:
                        self.note("1,000 tasks, native engines, 1/s", who, rate)
                for who, (rc, lb) in views.items():
                    if who != MIXED:
                        self.note("blocking apply p50, ms", who, blocking(rc[0], 500) * 1e3)
                if OURS in clusters:
                    c = clusters[OURS]
                    figures = json.loads(c.run(RATES, f"--profile-dir={c.profile}").stdout)
                    self.note("tasks from Go, native engines, 1/s", OURS, figures["tasks_per_second"])
                    self.note("blocking execute from Go p50, ms", OURS, figures["p50_ms"])
        finally:
            for c in clusters.values():
                c.close()

    def run(self):
        if self.wanted("start 4 engines, s", "stop 4 engines, s"):
            for _ in range(self.options.runs):
                for who in self.sides(OURS, UPSTREAM):
                    self.cycle(who, 4)
        if self.wanted("start 16 engines, s", "stop 16 engines, s", "engine with worker at 16, MB PSS", "controller, supervisor, plugin, MB PSS"):
            for _ in range(self.options.runs):
                for who in self.sides(OURS, UPSTREAM):
                    self.cycle(who, 16)
        if self.wanted("1,000 tasks, native engines, 1/s", "1,000 tasks, upstream's engines, 1/s", "blocking apply p50, ms"):
            self.tasks()

    def report(self, limits):
        print(f"\nipyparallel {ipp.__version__}, Python {platform.python_version()}, {os.cpu_count()} cores; median (min–max)\n")
        print(f"{'':42} {'ours':>26} {'upstream':>26} {'ratio':>7}  limit")
        broken = []
        for name, by in sorted(self.figures.items()):
            ours, theirs = by.get(OURS), by.get(UPSTREAM)
            ratio = None
            if ours and theirs:
                ratio = statistics.median(ours) / statistics.median(theirs)
                if not name.endswith("1/s"):
                    ratio = 1 / ratio
            limit = limits.get(name, {})
            text, kept = "", True
            if "max" in limit and ours:
                kept = statistics.median(ours) <= limit["max"]
                text = f"at most {limit['max']}"
            if "min_ratio" in limit and ratio is not None:
                kept = ratio >= limit["min_ratio"]
                text = f"ratio at least {limit['min_ratio']}"
            if not kept:
                broken.append(name)
                text += "  NOT KEPT"
            print(f"{name:42} {show(ours):>26} {show(theirs):>26} {f'{ratio:.2f}' if ratio else '':>7}  {text}")
        return broken


def answered(c, n):
    """Be the independent client: connect as soon as that is possible, and answer
    once every engine has answered an apply."""
    processes.wait_until(c.connectable, 60, "connection file", interval=0.002)
    rc = c.client(timeout=60)
    processes.wait_until(lambda: len(rc.ids) >= n, 60, f"{n} engines", interval=0.002)
    rc[:].apply_sync(noop)
    return rc


def run_tasks(lb, n):
    began = time.monotonic()
    for ar in [lb.apply_async(noop) for _ in range(n)]:
        ar.get(120)
    return time.monotonic() - began


def blocking(view, n):
    took = []
    for _ in range(n):
        began = time.perf_counter()
        view.apply_sync(noop)
        took.append(time.perf_counter() - began)
    return statistics.median(took)


def show(values):
    if not values:
        return ""
    return f"{statistics.median(values):.4g} ({min(values):.4g}–{max(values):.4g})"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", default="", metavar="TEXT", help="only figures whose names contain TEXT")
    parser.add_argument("--side", choices=("both", "ours", "upstream"), default="both")
    parser.add_argument("--json", metavar="FILE", help="write every value to FILE")
    bench = Bench(parser.parse_args())
    bench.run()
    with open(os.path.join(HERE, "thresholds.json")) as f:
        broken = bench.report(json.load(f))
    if bench.options.json:
        with open(bench.options.json, "w") as f:
            json.dump(bench.figures, f, indent=2)
    if broken:
        sys.exit("error: limits not kept: " + "; ".join(broken))


if __name__ == "__main__":
    main()
