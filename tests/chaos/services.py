"""Services: a PostgreSQL and a Redis of the chaos's own, which may be killed. Containers are those of all tests."""

import os
import signal
import subprocess
import sys

from deploy import postgres, processes, redisd
from deploy.world import world
from tests.conftest import ROOT

DEATH_S = 10.0


class Services:
    """Made by `furnish`, gone after `remove`."""

    def __init__(self) -> None:
        self.folder = world("test").root / "chaos"
        self.postgres = self.folder / "postgres"
        self.redis = self.folder / "redis"
        self.settings = {"DATABASE_URL": postgres.url(self.postgres), "REDIS_URL": redisd.url(self.redis)}

    def furnish(self) -> None:
        """From nothing to a seeded database."""
        self.remove()  # a killed former run left it
        self.folder.mkdir(mode=0o711)
        self.start_redis()
        self.start_postgresql()
        self._run("server", "migrate")
        self._run("server", "seed", "--demo")

    def remove(self) -> None:
        for name, folder in (("postgres", self.postgres), ("redis", self.redis)):
            self._run("deploy", "halt", name, str(folder))
        subprocess.run(["rm", "-rf", "--one-file-system", self.folder], check=True, timeout=60)

    def start_redis(self) -> None:
        """Empty: it keeps nothing."""
        self._run("deploy", "start", "redis", str(self.redis))

    def start_postgresql(self) -> None:
        self._run("deploy", "start", "postgres", str(self.postgres))

    def kill_redis(self) -> None:
        _end(redisd._ours(self.redis), signal.SIGKILL)

    def stop_postgresql(self) -> None:
        """At once, as an operator's `pg_ctl -m immediate`: no client is asked."""
        pid = int((self.postgres / "data" / "postmaster.pid").read_text().split()[0])
        ours = postgres._ours(self.postgres)
        _end(lambda one: ours(one) and one.pid == pid, signal.SIGQUIT)
        assert processes.wait_for(lambda: not processes.find(ours), DEATH_S)

    def _run(self, *words: str) -> None:
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


def _end(match: processes.Match, number: signal.Signals) -> None:
    """One process, by its pid, and waits until it is gone."""
    (found,) = processes.find(match)
    os.kill(found.pid, number)
    assert processes.wait_for(lambda: not processes.find(match), DEATH_S)
