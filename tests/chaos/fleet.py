"""Fleet: real instances behind the balancer, killed, frozen, drained and started again one by one."""

import asyncio
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from terminals.store.database import Database
from tests.balancer import Balancer
from tests.conftest import Server, free_port

NAMES = ("one", "two", "three")


class Fleet:
    """Pages use `url`; which instance they reach is the balancer's choice."""

    def __init__(self, url: str, servers: Sequence[Server]) -> None:
        self.url = url
        self.servers = servers

    @classmethod
    @contextmanager
    def opened(cls, folder: Path, count: int, *each: dict[str, str], **settings: str) -> Iterator[Self]:
        """`settings` are everyone's, `each` of them beside that its own."""
        ports = [free_port() for _ in range(count)]
        with Balancer(folder / "nginx", ports) as balancer:
            own = [*each, *({} for _ in range(count - len(each)))]
            servers = [
                Server(
                    folder / f"{name}.log", PORT=str(port), PUBLIC_URL=balancer.url, INSTANCE=name, **settings, **more
                )
                for name, port, more in zip(NAMES, ports, own, strict=False)
            ]
            fleet = cls(balancer.url, servers)
            try:
                fleet.complete()
                yield fleet
            finally:
                for server in servers:
                    if server.process is not None and server.process.poll() is None:
                        server.process.send_signal(signal.SIGCONT)
                        server.stop()

    def complete(self) -> None:
        """Starts those that are dead."""
        dead = [server for server in self.servers if server.process is None or server.process.poll() is not None]
        for server in dead:
            server.start(wait=False)
        for server in dead:
            server.until_ready()

    async def owner(self, database: Database, terminal: str) -> Server:
        """Who claimed it last."""
        name = str(await database.value("SELECT owner FROM terminals WHERE id = $1", terminal)).rpartition("-")[0]
        return self.servers[NAMES.index(name)]

    def other(self, than: Server) -> Server:
        return next(server for server in self.servers if server is not than)

    async def restart(self, server: Server) -> None:
        await asyncio.to_thread(server.start)


def tell(server: Server, number: signal.Signals) -> None:
    """A signal to one instance."""
    assert server.process is not None
    os.kill(server.process.pid, number)
