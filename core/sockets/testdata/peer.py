"""A libzmq peer for the tests: peer.py MODE ENDPOINT... It prints its result."""
import os
import random
import select
import sys
import zmq

mode, endpoints = sys.argv[1], sys.argv[2:]
context = zmq.Context()


def socket(kind, identity=None, heartbeat=5):
    s = context.socket(kind)
    s.linger = 0
    s.rcvtimeo = s.sndtimeo = 20000
    s.rcvhwm = s.sndhwm = 0
    if heartbeat:
        s.setsockopt(zmq.HEARTBEAT_IVL, heartbeat)
        s.setsockopt(zmq.HEARTBEAT_TIMEOUT, 10000)
    if identity:
        s.identity = identity
    if "CURVE_SECRETKEY" in os.environ:
        s.curve_publickey = os.environ["CURVE_PUBLICKEY"].encode()
        s.curve_secretkey = os.environ["CURVE_SECRETKEY"].encode()
        if "CURVE_SERVERKEY" in os.environ:
            s.curve_serverkey = os.environ["CURVE_SERVERKEY"].encode()
        else:
            s.curve_server = True
    return s


def done(text="ok"):
    print(text, flush=True)
    sys.exit(0)


def random_message(rng):
    sizes = [0, 1, 254, 255, 256, 257, 4095, 4096, 16383, 16384, 16385,
             32767, 32768, 32769, 65535, 65536, 65537, 200000]
    message = []
    for _ in range(rng.randrange(12)):
        pick = rng.random()
        if pick < 0.6:
            n = rng.randrange(600)
        elif pick < 0.998:
            n = rng.choice(sizes)
        else:
            n = rng.choice([1 << 20, (1 << 20) + 1, 5_000_000])
        message.append(rng.randbytes(n))
    return message


def relay():
    """Sends random messages through a relay of ours to an engine that echoes them."""
    client, engine = socket(zmq.DEALER), socket(zmq.ROUTER, b"engine")
    engine.connect(endpoints[1])
    client.connect(endpoints[0])
    rng = random.Random(7)
    # The relay knows the engine once the first message gets through.
    while True:
        client.send_multipart([b"engine", b"hello"])
        if engine.poll(50):
            break
    outstanding, sent, got = [], 0, 0
    poller = zmq.Poller()
    poller.register(client, zmq.POLLIN)
    poller.register(engine, zmq.POLLIN)
    while got < 1000:
        while sent < 1000 and len(outstanding) < 8:
            message = random_message(rng)
            outstanding.append(message)
            client.send_multipart([b"engine", b"x"] + message)
            sent += 1
        ready = dict(poller.poll(20000))
        if not ready:
            done("no more messages arrive after %d" % got)
        if engine in ready:
            engine.send_multipart(engine.recv_multipart())
        if client in ready:
            reply = client.recv_multipart()
            if reply[1] == b"hello":
                continue
            want = outstanding.pop(0)
            if reply != [b"engine", b"x"] + want:
                done("message %d differs" % got)
            got += 1
    done()


def subscriber():
    """Subscribes to a PUB of ours, cancels one subscription, and prints the messages."""
    s = socket(zmq.SUB)
    s.subscribe(b"a")
    s.subscribe(b"b")
    s.connect(endpoints[0])
    got = [s.recv_multipart()]
    s.unsubscribe(b"a")
    got += [s.recv_multipart() for _ in range(2)]
    done(repr(got))


def publishers():
    """Publishes from a PUB and an XPUB that connect to a SUB of ours."""
    for kind in (zmq.XPUB, zmq.PUB):
        s = socket(kind, b"engine")
        s.connect(endpoints[0])
        if kind == zmq.XPUB:
            if s.recv() != b"\x01engine.":
                done("no subscription")
        while not select.select([sys.stdin], [], [], 0.01)[0]:
            s.send_multipart([b"engine.0.stdout", b"text"])
            s.send_multipart([b"other", b"text"])
        sys.stdin.readline()
    done()


def server():
    """Binds a ROUTER that echoes and a PUB, for our sockets to dial."""
    router, pub = socket(zmq.ROUTER, b"mux_out"), socket(zmq.XPUB)
    port = router.bind_to_random_port("tcp://127.0.0.1")
    pub_port = pub.bind_to_random_port("tcp://127.0.0.1")
    print(port, pub_port, flush=True)
    assert pub.recv() == b"\x01"
    pub.send_multipart([b"topic", b"text"])
    for _ in range(2):
        router.send_multipart(router.recv_multipart())
    sys.stdin.readline()
    done()


globals()[mode]()
