"""Path: two instances behind a balancer that cuts, both before LXD behind a proxy that cuts."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path as Folder

from tests.conftest import Server
from tests.proxy import Proxy


class Path:
    """`front` leads to the instance in use. The user's URL is the balancer's."""

    def __init__(self, front: Proxy, lxd: Proxy, servers: list[Server]) -> None:
        self.front = front
        self.lxd = lxd
        self.servers = servers
        self._starting: set[asyncio.Task[float]] = set()
        self.lead_to(servers[0])

    @classmethod
    @asynccontextmanager
    async def opened(cls, make_server: Callable[..., Server], folder: Folder) -> AsyncIterator["Path"]:
        socket = folder / "lxd.sock"
        with Proxy(0) as front, Proxy(os.environ["LXD_URL"], socket) as lxd:
            settings = {"PUBLIC_URL": f"http://127.0.0.1:{front.port}", "LXD_URL": str(socket)}
            # One goes through the door and one through LXD: each takeover changes the way, too.
            path = cls(front, lxd, [make_server(**settings), make_server(**settings, DOOR_DIR="")])
            await asyncio.gather(*(asyncio.to_thread(server.start) for server in path.servers))
            yield path
            await path.started()

    @property
    def url(self) -> str:
        return self.servers[0].settings["PUBLIC_URL"]

    @property
    def used(self) -> Server:
        """The instance that new connections reach."""
        return next(server for server in self.servers if server.port == self.front.target)

    @property
    def other(self) -> Server:
        return next(server for server in self.servers if server.port != self.front.target)

    @property
    def by_door(self) -> bool:
        """The instance in use gets its frames past LXD."""
        return self.used is self.servers[0]

    def lead_to(self, server: Server) -> None:
        self.front.target = server.port

    def start(self, server: Server) -> None:
        """Starts it again, meanwhile the test goes on."""
        task = asyncio.create_task(asyncio.to_thread(server.start))
        self._starting.add(task)

    async def started(self) -> None:
        """Waits for what was started."""
        await asyncio.gather(*self._starting)
        self._starting.clear()
