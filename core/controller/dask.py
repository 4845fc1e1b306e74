"""Run Dask's scheduler for the controller.

The arguments are read from stdin as one line of JSON. One line of JSON on stdout
says where the scheduler listens, or why it did not start. The scheduler stops at
the end of stdin, which also comes when the controller exits.
"""

import asyncio
import json
import os
import signal
import sys


async def main(reply):
    arguments = json.loads(sys.stdin.readline())
    try:
        from distributed import Scheduler

        scheduler = await Scheduler(**arguments)
    except Exception as e:
        reply({"status": "error", "ename": type(e).__name__, "evalue": str(e)})
        return 1
    reply({"status": "ok", "ip": scheduler.ip, "address": scheduler.address, "port": scheduler.port})
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await scheduler.close()
    return 0


def take_stdout():
    """Return a function that writes to stdout. Other output goes to stderr from now on."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def reply(content):
        out.write(json.dumps(content) + "\n")
        out.flush()

    return reply


signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.exit(asyncio.run(main(take_stdout())))
