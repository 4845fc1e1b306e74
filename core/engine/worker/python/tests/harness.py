"""The engine's side of the channel, in Python."""

import json
import os
import select
import socket
import struct
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DEADLINE = 20  # seconds until a worker that does not answer is an error


def sources():
    """Return the parts of frame S."""
    parts = []
    for name in sorted(os.listdir(HERE)):
        if name.endswith(".py") and name != "loader.py":
            with open(os.path.join(HERE, name), "rb") as f:
                parts += [name[:-3].encode(), f.read()]
    return parts


def frame(kind, parts, flags=0):
    parts = [bytes(p) if isinstance(p, memoryview) else p for p in parts]
    head = struct.pack("<cBH", kind.encode(), flags, len(parts))
    return head + b"".join(struct.pack("<Q", len(p)) for p in parts) + b"".join(parts)


class Reply:
    """One reply, and the data messages and output before it."""

    def __init__(self, parts, data, out, err):
        self.msg_id = parts[0].decode()
        self.status = parts[1].decode()
        self.parts = parts[2:]
        self.data = data
        self.out, self.err = out, err
        if self.status == "error":
            self.ename, self.evalue = parts[2].decode(), parts[3].decode()
            self.traceback = parts[4].decode().split("\0")
            self.expressions = json.loads(parts[5]) if parts[5] else None
            self.flags = json.loads(parts[6]) if parts[6] else {}

    def __repr__(self):
        if self.status == "error":
            return "error %s: %s\n%s" % (self.ename, self.evalue, "\n".join(self.traceback))
        return "%s %r" % (self.status, self.parts)


class Worker:
    """A worker process and its channel."""

    def __init__(self, python=None, env=None, cwd=None, hello=None):
        here, there = socket.socketpair()
        self.fault = tempfile.TemporaryFile()
        self.out_r, out_w = os.pipe()
        self.err_r, err_w = os.pipe()
        with open(os.path.join(HERE, "loader.py")) as f:
            loader = f.read()
        self.process = subprocess.Popen(
            [python or sys.executable, "-c", loader, str(there.fileno()), str(self.fault.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=out_w,
            stderr=err_w,
            pass_fds=[there.fileno(), self.fault.fileno()],
            env=dict(os.environ, **(env or {})),
            cwd=cwd,
        )
        there.close()
        os.close(out_w)
        os.close(err_w)
        self.socket = here
        self.pending = b""
        self.out, self.err = b"", b""
        self.number = 0
        os.set_blocking(self.out_r, False)
        os.set_blocking(self.err_r, False)
        here.settimeout(DEADLINE)
        self.write("S", sources())
        self.write("H", [json.dumps(dict({"engine_id": 3, "uuid": "u-3"}, **(hello or {}))).encode()])
        kind, parts = self.read()
        assert kind == "H", (kind, parts, self.drain())
        self.about = json.loads(parts[0])

    def write(self, kind, parts, flags=0):
        """Send one frame, and read the pipes meanwhile as an engine does."""
        data = memoryview(frame(kind, parts, flags))
        while data:
            _, ready, _ = select.select([], [self.socket], [], DEADLINE)
            if not ready:
                raise AssertionError("the worker does not read")
            data = data[self.socket.send(data[: 1 << 18]) :]
            self.drain()

    def drain(self):
        """Read what is in the pipes."""
        for fd, name in ((self.out_r, "out"), (self.err_r, "err")):
            while True:
                try:
                    data = os.read(fd, 1 << 16)
                except BlockingIOError:
                    break
                if not data:
                    break
                setattr(self, name, getattr(self, name) + data)
        return self.out.decode("utf-8", "replace"), self.err.decode("utf-8", "replace")

    def _need(self, n):
        while len(self.pending) < n:
            ready, _, _ = select.select([self.socket, self.out_r, self.err_r], [], [], DEADLINE)
            if not ready:
                raise AssertionError("no answer from the worker; output: %r" % (self.drain(),))
            self.drain()
            if self.socket not in ready:
                if self.process.poll() is not None and not select.select([self.socket], [], [], 0)[0]:
                    raise EOFError("the worker ended: %r" % (self.drain(),))
                continue
            try:
                data = self.socket.recv(1 << 20)
            except ConnectionResetError:
                data = b""
            if not data:
                self.process.wait(DEADLINE)
                raise EOFError("the worker ended with %r: %r" % (self.process.returncode, self.drain()))
            self.pending += data

    def read(self):
        """Return the kind and the parts of the next frame."""
        self._need(4)
        kind, _, count = struct.unpack_from("<cBH", self.pending)
        self._need(4 + 8 * count)
        sizes = struct.unpack_from("<%dQ" % count, self.pending, 4)
        at = 4 + 8 * count
        self._need(at + sum(sizes))
        parts = []
        for size in sizes:
            parts.append(self.pending[at : at + size])
            at += size
        self.pending = self.pending[at:]
        return kind.decode(), parts

    def reply(self):
        """Wait for the reply."""
        data = []
        while True:
            kind, parts = self.read()
            if kind == "R":
                break
            assert kind == "D", kind
            data.append((parts[0].decode(), parts[1].decode(), json.loads(parts[2]), parts[3:]))
        self.drain()
        out, err = self.out.decode("utf-8"), self.err.decode("utf-8", "replace")
        self.out = self.err = b""
        return Reply(parts, data, out, err)

    def ask(self, kind, parts, flags=0):
        """Send one request and wait for its reply."""
        self.number += 1
        msg_id = "m-%d" % self.number
        self.write(kind, [msg_id.encode()] + parts, flags)
        reply = self.reply()
        assert reply.msg_id == msg_id, (reply.msg_id, msg_id)
        return reply

    def apply(self, buffers, session="1"):
        return self.ask("A", [session.encode()] + list(buffers))

    def execute(self, code, count=1, silent=False, store=True, expressions=None):
        if not isinstance(code, bytes):
            code = code.encode("utf-8", "surrogatepass")
        flags = (1 if silent else 0) | (2 if store else 0)
        text = json.dumps(expressions).encode() if expressions is not None else b""
        return self.ask("E", [code, str(count).encode(), text], flags)

    def close(self):
        """Ask the worker to end and wait for it."""
        if self.process.poll() is None:
            try:
                self.write("Q", [])
            except OSError:
                pass
        try:
            status = self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self.socket.close()
        for fd in (self.out_r, self.err_r):
            os.close(fd)
        self.fault.close()
        return status


BLOCK = """
from importlib.machinery import PathFinder
names = {"ipyparallel", "IPython", "ipykernel", "jupyter_client", "traitlets", "tornado", "zmq"}
find = PathFinder.find_spec
def find_spec(name, path=None, target=None):
    return None if name.partition(".")[0] in names else find(name, path, target)
PathFinder.find_spec = find_spec
"""


def blocked():
    """Return a directory whose sitecustomize keeps a worker from importing the client's packages, and its cleaner."""
    folder = tempfile.TemporaryDirectory()
    with open(os.path.join(folder.name, "sitecustomize.py"), "w") as f:
        f.write(BLOCK)
    return folder


class WorkerCase(unittest.TestCase):
    """A test with one worker that can't import the client's packages."""

    python = None
    env = {}
    block = True

    def setUp(self):
        env = dict(self.env)
        if self.block:
            folder = blocked()
            self.addCleanup(folder.cleanup)
            env["PYTHONPATH"] = folder.name
        self.worker = Worker(self.python, env)
        self.addCleanup(self.worker.close)

    def ok(self, reply):
        self.assertEqual(reply.status, "ok", reply)
        return reply

    def run_cell(self, code, **kwargs):
        return self.ok(self.worker.execute(code, **kwargs))
