"""Rivals: who serves lines, and with which processes: our server, LXD itself, terminado over `lxc exec`."""

import asyncio
import itertools
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Protocol

import aiohttp

from tests.bench.lines import Direct, Line, Ours, Terminado
from tests.client import User
from tests.conftest import ROOT, Server, free_port

START_S = 20


class Rival(Protocol):
    """Somebody who gives shells in the labs' containers."""

    name: str

    async def line(self) -> Line:
        """A fresh shell; its first output is still to come."""

    @property
    def pids(self) -> list[int]:
        """The server's processes."""


class Product:
    """Our server: a terminal is made, then attached to."""

    name = "educenter"

    def __init__(self, server: Server, labs: Sequence[tuple[User, str]]) -> None:
        self._server = server
        self._labs = itertools.cycle(labs)
        self._made: list[tuple[User, str]] = []

    async def made(self) -> tuple[User, str]:
        """A new terminal, nobody attached."""
        user, session = next(self._labs)
        path = f"/api/sessions/{session}/terminals"
        terminal: str = (await user.call("POST", path, status=201))["id"]
        self._made.append((user, f"{path}/{terminal}"))
        return user, terminal

    async def line(self) -> Line:
        return await self.attach(*await self.made())

    async def attach(self, user: User, terminal: str) -> Ours:
        """A line on a terminal that is there."""
        return await Ours.open(user.http, self._server.url, terminal)

    async def sweep(self) -> None:
        """Hangs up every shell that was made."""
        made, self._made = self._made, []
        for number in range(0, len(made), 8):
            await asyncio.gather(*(user.call("DELETE", path, status=204) for user, path in made[number : number + 8]))

    @property
    def pids(self) -> list[int]:
        assert self._server.process is not None
        return [self._server.process.pid]


class Limit:
    """LXD's exec, nothing between it and the client."""

    name = "direct LXD exec"
    pids: list[int] = []  # noqa: RUF012 - never any

    def __init__(self, lxd: aiohttp.ClientSession, containers: Sequence[str]) -> None:
        self._lxd = lxd
        self._containers = itertools.cycle(containers)

    async def line(self) -> Line:
        return await Direct.open(self._lxd, os.environ["LXD_PROJECT"], next(self._containers))


class Peer:
    """terminado as its documentation shows it, its shells by LXD's command line client."""

    name = "terminado"

    def __init__(self, http: aiohttp.ClientSession, url: str, process: "subprocess.Popen[bytes]") -> None:
        self._http = http
        self._url = url
        self._process = process

    async def line(self) -> Line:
        return await Terminado.open(self._http, self._url)

    @property
    def pids(self) -> list[int]:
        return [self._process.pid]


@asynccontextmanager
async def direct(containers: Sequence[str]) -> AsyncIterator[Limit]:
    """LXD over its unix socket."""
    connector = aiohttp.UnixConnector(os.environ["LXD_URL"], limit=0)
    async with aiohttp.ClientSession(connector=connector) as lxd:
        yield Limit(lxd, containers)


@contextmanager
def _process(command: Sequence[str], environment: dict[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    # It logs a traceback for every socket that is closed while something is being sent.
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)


@asynccontextmanager
async def terminado(container: str) -> AsyncIterator[Peer]:
    """A terminado server of its own."""
    port = free_port()
    lxc = ["lxc", "--project", os.environ["LXD_PROJECT"], "exec", container, "--", "su", "-", "student"]
    environment = {**os.environ, "LXD_DIR": str(Path(os.environ["LXD_URL"]).parent)}
    command = [sys.executable, "-m", "tests.bench.terminado_server", str(port), *lxc]
    with _process(command, environment) as process:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
            await _listening(port)
            yield Peer(http, f"http://127.0.0.1:{port}/ws", process)


async def _listening(port: int) -> None:
    async with asyncio.timeout(START_S):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
