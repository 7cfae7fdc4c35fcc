"""House: PostgreSQL, Redis and LXD of a test's own, in one folder, started and killed without harm to any other test's."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable

import asyncpg

from deploy import image, lxd, mounts, postgres, processes, redisd
from deploy.commands import works
from deploy.lxd_api import Api
from deploy.world import world
from tests.conftest import ROOT

WAIT_S = 60.0
DEATH_S = 10.0


class House:
    """The services of a world of its own, started and killed as `make run` and fate do it."""

    def __init__(self, name: str) -> None:
        self.tests = world("test")
        self.folder = self.tests.root / name
        self.project = f"educenter-{name}"
        self.folders = {service: self.folder / service for service in ("postgres", "redis", "lxd")}
        self.settings = {
            "DATABASE_URL": postgres.url(self.folders["postgres"]),
            "REDIS_URL": redisd.url(self.folders["redis"]),
            "LXD_URL": lxd.url(self.folders["lxd"]),
            "LXD_PROJECT": self.project,
            "LXD_POOL_SIZE": "2GiB",
        }

    def start(self) -> dict[str, str]:
        """Starts each that doesn't answer; what was done, by service."""
        self.folder.mkdir(mode=0o711, exist_ok=True)
        return {name: self._deploy("start", name) for name in self.folders}

    def start_lxd(self) -> None:
        """The daemon alone."""
        self._deploy("start", "lxd")

    def furnish(self) -> None:
        """From nothing to a busybox lab that can be started."""
        self.start()
        self._server("lxd", "setup")
        image.load(self.tests, "busybox", Api(self.settings["LXD_URL"]), self.project)
        self._server("lxd", "setup")
        self._server("migrate")
        self._server("seed", "--demo")

    def remove(self) -> None:
        """Stops and removes all of it, whatever state it is in, servers of a killed former run included."""
        processes.stop(lambda one: "serve" in one.arguments and one.variable("LXD_URL") == self.settings["LXD_URL"], 10)
        for name in self.folders:
            self._deploy("halt", name)
        self._kill(self._contained())
        mounts.release(self.folder)
        subprocess.run(["rm", "-rf", "--one-file-system", self.folder], check=True, timeout=WAIT_S)

    def kill(self) -> None:
        """SIGKILL to PostgreSQL, Redis, LXD, its monitors and all that runs in its containers."""
        contained = self._contained()
        self.kill_lxd()
        for match in (lxd._monitor(self.folders["lxd"]), *self._databases()):
            self._kill(process.pid for process in processes.find(match))
        self._kill(contained)
        for match in (lxd._monitor(self.folders["lxd"]), *self._databases()):
            assert processes.wait_for(lambda match=match: not processes.find(match), DEATH_S)
        assert self.answering() == []

    def kill_lxd(self) -> None:
        """SIGKILL to the daemon alone."""
        daemon = lxd._daemon(self.folders["lxd"])
        found = processes.find(daemon)
        assert len(found) == 1
        self._kill(process.pid for process in found)
        assert processes.wait_for(lambda: not processes.find(daemon), DEATH_S)

    def dismiss_lxd(self) -> None:
        """SIGTERM to the daemon alone, as where its package is upgraded, until it is gone: the containers run on."""
        daemon = lxd._daemon(self.folders["lxd"])
        (found,) = processes.find(daemon)
        os.kill(found.pid, signal.SIGTERM)
        assert processes.wait_for(lambda: not processes.find(daemon), WAIT_S), "it doesn't go"

    def unplug(self) -> None:
        """As a reboot does: no process, no mount and no loop device of ours is left."""
        assert processes.wait_for(lambda: not self._contained(), DEATH_S)
        mounts.release(self.folder)
        assert mounts.below(self.folder) == []
        assert mounts.loops(self.folder) == []

    def answering(self) -> list[str]:
        """The services that answer."""
        asked: dict[str, Callable[[], bool]] = {
            "postgres": lambda: postgres.answers(self.settings["DATABASE_URL"]),
            "redis": lambda: works("redis-cli", "-s", self.folders["redis"] / "redis.sock", "ping"),
            "lxd": lambda: lxd.answers(self.settings["LXD_URL"]),
        }
        return [name for name, answers in asked.items() if answers()]

    def lxc(self, *words: str) -> str:
        """LXD's own client; what it printed."""
        environment = {**os.environ, "LXD_DIR": str(self.folders["lxd"])}
        command = ["lxc", "--project", self.project, *words]
        return subprocess.run(
            command, env=environment, check=True, capture_output=True, text=True, timeout=WAIT_S
        ).stdout

    async def rows(self) -> dict[str, list[str]]:
        """What the database holds: every row of every table of ours."""
        database = await asyncpg.connect(self.settings["DATABASE_URL"])
        try:
            tables = await database.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            names = [str(row["tablename"]) for row in tables]
            return {name: sorted(map(str, await database.fetch(f'SELECT * FROM "{name}"'))) for name in names}
        finally:
            await database.close()

    def _databases(self) -> tuple[processes.Match, processes.Match]:
        return postgres._ours(self.folders["postgres"]), redisd._ours(self.folders["redis"])

    def _contained(self) -> list[int]:
        """The containers' processes: their root lies in a pool of ours."""
        return [found.pid for found in processes.find(lambda one: lxd._rooted([one.pid], self.folders["lxd"]))]

    def _kill(self, pids: Iterable[int]) -> None:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _deploy(self, verb: str, name: str) -> str:
        """The command for private daemons. They are its children, not ours: nobody but init reaps them."""
        return self._run("deploy", verb, name, str(self.folders[name])).removeprefix(f"{name}: ")

    def _server(self, *words: str) -> None:
        self._run("server", *words)

    def _run(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", *words],
            cwd=ROOT,
            env={**os.environ, **self.settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(words)}: {done.stdout[-2000:]}"
        return done.stdout.strip()
