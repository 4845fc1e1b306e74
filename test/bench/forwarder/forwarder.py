#!/usr/bin/env python3
"""forwarder.c where there is no compiler: pyzmq's loop in C, which swaps the
first two frames too, with a monitor that nobody reads."""

import sys

import zmq
from zmq.devices import monitored_queue


def router(context, identity, secret):
    s = context.socket(zmq.ROUTER)
    s.identity = identity
    if secret:
        s.curve_server, s.curve_secretkey = True, secret
    s.set_hwm(0)
    return s, s.bind_to_random_port("tcp://127.0.0.1")


def main():
    if "--version" in sys.argv:
        print(f"pyzmq {zmq.__version__}'s monitored_queue on libzmq {zmq.zmq_version()}")
        return
    context = zmq.Context()
    public, secret = zmq.curve_keypair() if "--curve" in sys.argv else (b"", None)
    clients, front = router(context, b"mux_in", secret)
    engines, back = router(context, b"mux_out", secret)
    monitor = context.socket(zmq.PUB)
    monitor.bind("inproc://monitor")
    print(front, back, public.decode(), flush=True)
    monitored_queue(clients, engines, monitor, b"in", b"out")


if __name__ == "__main__":
    main()
