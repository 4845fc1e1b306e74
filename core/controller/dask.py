"""Run Dask's scheduler for the controller.

A line of JSON on stdin holds its arguments, a line of JSON on stdout answers
where it is or why it is not. The end of stdin, which the end of the controller
brings about, is the end.
"""

import asyncio
import json
import os
import signal
import sys


async def main(answer):
    arguments = json.loads(sys.stdin.readline())
    try:
        from distributed import Scheduler

        scheduler = await Scheduler(**arguments)
    except Exception as e:
        answer({"status": "error", "ename": type(e).__name__, "evalue": str(e)})
        return 1
    answer({"status": "ok", "ip": scheduler.ip, "address": scheduler.address, "port": scheduler.port})
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await scheduler.close()
    return 0


def answers():
    """A function that writes to stdout, which nothing else does from now on."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(content):
        out.write(json.dumps(content) + "\n")
        out.flush()

    return answer


signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.exit(asyncio.run(main(answers())))
