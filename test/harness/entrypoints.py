"""A Python package of somebody else with launchers behind ipyparallel's entry points."""

import os

MODULE = '''
import asyncio
import os

import psutil
from ipyparallel.cluster.launcher import BaseLauncher, EngineLauncher, LocalControllerLauncher, LocalEngineSetLauncher, NotRunning
from traitlets import Integer, Unicode


class MineEngineSetLauncher(LocalEngineSetLauncher):
    """What most write: a class of upstream's with something added."""

    word = Unicode("none", config=True, help="A word for the engines")

    def start(self, n):
        os.environ["MINE_WORD"] = self.word
        return super().start(n)


class MineControllerLauncher(LocalControllerLauncher):
    pass


class OwnEngineLauncher(EngineLauncher):
    """All by itself, with coroutines, and it prints where it should not."""

    pid = Integer(0).tag(to_dict=True)

    def find_args(self):
        return self.engine_cmd + self.engine_args

    async def start(self, n):
        print("starting", n)
        self.process = await asyncio.create_subprocess_exec(
            *self.args, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        self.pid = self.process.pid
        self.notify_start(self.pid)
        self.waiting = asyncio.ensure_future(self.wait())

    async def wait(self):
        self.notify_stop({"exit_code": await self.process.wait(), "pid": self.pid})

    async def poll(self):
        if not psutil.pid_exists(self.pid):
            raise NotRunning(self.pid)

    @classmethod
    def from_dict(cls, d, **kwargs):
        self = super().from_dict(d, **kwargs)
        if not psutil.pid_exists(self.pid):
            raise NotRunning(self.pid)
        return self

    async def stop(self):
        if self.state == "running":
            self.signal(15)
        while self.state == "running" and psutil.pid_exists(self.pid):
            await asyncio.sleep(0.02)
        self.notify_stop({"exit_code": None})

    def signal(self, sig):
        os.kill(self.pid, sig)
'''

ENTRY_POINTS = """
[ipyparallel.engine_launchers]
Mine = mine_launchers:MineEngineSetLauncher
own = mine_launchers:OwnEngineLauncher

[ipyparallel.controller_launchers]
mine = mine_launchers:MineControllerLauncher
"""


def install(folder):
    """Put the package into a folder, as pip would."""
    info = os.path.join(folder, "mine_launchers-2.5.dist-info")
    os.makedirs(info)
    for path, text in (
        (os.path.join(folder, "mine_launchers.py"), MODULE),
        (os.path.join(info, "entry_points.txt"), ENTRY_POINTS),
        (os.path.join(info, "METADATA"), "Metadata-Version: 2.1\nName: mine-launchers\nVersion: 2.5\n"),
    ):
        with open(path, "w") as f:
            f.write(text)
