"""Strangers at the controller's ports: other clients must not notice."""

import json
import logging
import os
import socket
import statistics
import struct
import threading
import time

from harness.case import Case

__name__ = "__main__"  # functions sent from here are a user's own, not a module's

GREETING = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x00" + b"NULL".ljust(20, b"\0") + b"\0" + bytes(31)

# What a stranger sends, by name.
BYTES = {
    "garbage": bytes(range(256)) * 16,
    "zeros": bytes(4096),
    "ones": b"\xff" * 4096,
    "http": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "old greeting": b"\x01\x00",
    "half a greeting": GREETING[:11],
    "greeting, then garbage": GREETING + b"\xaa" * 100,
    "huge command": GREETING + b"\x06" + struct.pack(">Q", 1 << 62),
    "huge frame": GREETING + b"\x02" + struct.pack(">Q", (1 << 63) + 5),
    "ready without end": GREETING + b"\x04\x20\x05READY",
    "bad ready": GREETING + b"\x04\x0f\x05READY\xff\x7f\xff\xff\xff",
}


def ready(kind):
    """A NULL READY command for a socket type."""
    body = b"\x05READY\x0bSocket-Type" + struct.pack(">I", len(kind)) + kind
    return b"\x04" + bytes([len(body)]) + body


def frame(data, more):
    return bytes([1 if more else 0, len(data)]) + data


class Complaints(logging.Handler):
    """Collects what the client's event loop logs as errors: exceptions in its callbacks."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.records = []

    def emit(self, record):
        self.records.append(record.getMessage())

    def __enter__(self):
        logging.getLogger().addHandler(self)

    def __exit__(self, *_):
        logging.getLogger().removeHandler(self)


class Hostile(Case):
    deadline = 120

    def setUp(self):
        self.c = self.cluster()
        self.rc = self.c.client()
        self.addCleanup(self.close_all)
        self.open = []
        client, engine = self.c.connection(), self.c.engine_connection()
        ports = set()
        for info in (client, engine):
            for key, value in info.items():
                if key in ("registration", "control", "mux", "task", "iopub", "notification", "hb_ping", "hb_pong", "broadcast"):
                    ports.update(value if isinstance(value, list) else [value])
        self.ports = sorted(ports)
        self.assertGreaterEqual(len(self.ports), 12, "ports of both connection files")

    def close_all(self):
        for s in self.open:
            s.close()

    def connect(self, port):
        s = socket.create_connection(("127.0.0.1", port), timeout=5)
        self.open.append(s)
        return s

    def send(self, s, data):
        try:
            s.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the controller has hung up, which it may

    def work(self, until):
        """Use the cluster until the event is set; answer the latencies."""
        took = []
        while not until.is_set() or len(took) < 20:
            began = time.monotonic()
            if self.rc[:].apply_async(lambda: 1).get(20) != [1] * 4:
                raise AssertionError("a wrong answer")
            took.append(time.monotonic() - began)
        return took

    def undisturbed(self, attack):
        """Run attack while a client works; it must see no delay over a second."""
        done = threading.Event()
        failure = []
        complaints = Complaints()

        def run():
            try:
                attack()
            except BaseException as e:
                failure.append(e)
            finally:
                done.set()

        t = threading.Thread(target=run)
        with complaints:
            t.start()
            try:
                took = self.work(done)
            finally:
                t.join()
        if failure:
            raise failure[0]
        self.assertLess(max(took), 1.0, f"{len(took)} requests, median {statistics.median(took):.4f} s")
        self.assertEqual(complaints.records, [], "the client's own event loop")
        self.assertEqual(self.rc.ids, [0, 1, 2, 3])

    def finish(self):
        """See that a new client is served, stop, and answer the controller's log."""
        other = self.c.client()
        self.assertEqual(other.load_balanced_view().map_sync(abs, range(-8, 0)), list(range(8, 0, -1)))
        self.close_all()
        log = self.log()
        self.c.stop()
        self.assert_nothing_left(self.c)
        return log

    def log(self):
        folder = os.path.join(self.c.profile, "log")
        text = ""
        for name in os.listdir(folder):
            if name.startswith("ipcontroller"):
                with open(os.path.join(folder, name), errors="replace") as f:
                    text += f.read()
        return text

    def test_garbage(self):
        peers = []

        def attack():
            for port in self.ports:
                for data in BYTES.values():
                    s = self.connect(port)
                    peers.append(s.getsockname())
                    self.send(s, data)

        self.undisturbed(attack)
        log = self.finish()
        counts = [log.count(f"{host}:{port}") for host, port in peers]
        self.assertGreater(sum(c > 0 for c in counts), 0, "no stranger's address is in the log:\n" + log[-3000:])
        self.assertLessEqual(max(counts), 1, "a stranger is logged more than once")

    def test_half_open(self):
        def attack():
            for port in self.ports:
                for _ in range(5):
                    self.connect(port)  # and never a byte
                s = self.connect(port)
                for byte in GREETING[:20]:  # a byte at a time
                    self.send(s, bytes([byte]))

        self.undisturbed(attack)
        self.finish()

    def test_wrong_key(self):
        import ipyparallel as ipp

        wrong = dict(self.c.connection(), key="00000000-0000-0000-0000-000000000000")
        path = os.path.join(self.c.root, "wrong.json")
        with open(path, "w") as f:
            json.dump(wrong, f)
        refused = []

        def attack():
            for _ in range(2):
                try:
                    ipp.Client(path, timeout=1).close()
                except Exception as e:
                    refused.append(type(e).__name__)

        self.undisturbed(attack)
        self.assertEqual(len(refused), 2, "a client with a wrong key was let in")
        self.assertRegex(self.finish(), r"(?i)signature")

    def test_messages_that_are_none(self):
        # A real ZeroMQ peer whose messages are nonsense, at every port.
        parts = [
            [b""],
            [b"<IDS|MSG>"],
            [b"nobody", b"<IDS|MSG>", b"", b"{}", b"{}", b"{}", b"{}"],
            [b"nobody", b"<IDS|MSG>", b"0" * 64, b"{", b"[", b"nil", b"\xff\xfe"],
            [b"x"] * 200,
        ]

        def attack():
            for port in self.ports:
                for kind in (b"DEALER", b"ROUTER", b"SUB", b"PUB"):
                    s = self.connect(port)
                    self.send(s, GREETING + ready(kind))
                    for p in parts:
                        self.send(s, b"".join(frame(f, i < len(p) - 1) for i, f in enumerate(p)))

        self.undisturbed(attack)
        self.finish()

    def test_many_connections(self):
        def attack():
            for _ in range(40):
                for port in self.ports:
                    self.connect(port)

        self.undisturbed(attack)
        self.finish()
