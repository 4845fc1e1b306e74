"""Processes as Linux shows them in /proc: who belongs to a test, and what they use."""

import os
import re
import signal
import time


def tagged(tag):
    """The pids of processes whose environment or command line holds tag.

    A child inherits its parent's environment, so a tag given to the first
    process finds every descendant, detached or not. Zombies are not counted:
    they hold no resources, and reaping them is their parent's business.
    """
    needle = os.fsencode(tag)
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        if needle in _read(name, "environ") or needle in _read(name, "cmdline"):
            if state(int(name)) != "Z":
                found.append(int(name))
    return sorted(found)


def alive(pid):
    """Whether pid is a process that has not ended."""
    return state(pid) not in ("", "Z", "X")


def state(pid):
    """The one-letter state of a process, "" when there is none."""
    stat = _read(pid, "stat")
    return stat.rpartition(b") ")[2][:1].decode()


def parent(pid):
    """The pid of a process's parent."""
    return int(_read(pid, "stat").rpartition(b") ")[2].split()[1])


def children(pid):
    """The pids of a process's children."""
    return [int(p) for p in os.listdir("/proc") if p.isdigit() and _safe_parent(p) == pid]


def command(pid):
    """The command line of a process, for messages."""
    return _read(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace").strip()


def describe(pids):
    """One line for each process, for messages."""
    return "\n".join(f"  {p} {command(p)}" for p in pids)


def pss(pid):
    """Proportional set size in bytes: shared pages count by their share."""
    with open(f"/proc/{pid}/smaps_rollup", "rb") as f:
        return int(re.search(rb"^Pss:\s+(\d+) kB", f.read(), re.M)[1]) * 1024


def listening(pids):
    """The TCP ports on which the given processes listen."""
    inodes = set()
    for pid in pids:
        try:
            for fd in os.listdir(f"/proc/{pid}/fd"):
                try:
                    link = os.readlink(f"/proc/{pid}/fd/{fd}")
                except OSError:
                    continue
                if link.startswith("socket:["):
                    inodes.add(link[8:-1])
        except OSError:
            continue
    ports = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(table) as f:
            for line in f.readlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and fields[9] in inodes:
                    ports.add(int(fields[1].rpartition(":")[2], 16))
    return sorted(ports)


def kill(pids, sig=signal.SIGKILL):
    """Signal processes; those that are gone do not matter."""
    for pid in pids:
        try:
            os.kill(pid, sig)
        except ProcessLookupError:
            pass


def wait_until(condition, seconds, what, interval=0.02):
    """Poll until condition() is true and answer its value; fail after seconds.

    what is a text, or a function that makes one when it is needed.
    """
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(interval)


def _read(pid, name):
    try:
        with open(f"/proc/{pid}/{name}", "rb") as f:
            return f.read()
    except OSError:
        return b""


def _safe_parent(pid):
    try:
        return parent(pid)
    except (IndexError, ValueError):
        return 0
