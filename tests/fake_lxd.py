"""The websockets of an LXD exec, played on a unix socket: real bytes for `streams` and `exec`, and a
holder that can be made to say anything.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import cast
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, unix_serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request

from terminals.link import frames
from terminals.link.exec import Attach, Exec
from terminals.lxd import Address, ExecSockets, Lxd

NAMES = ("0", "1", "2", "control")
BIRTH = b"b" * 16


class Attached:
    """One attach, from the holder's side."""

    def __init__(self) -> None:
        self.sockets: dict[str, ServerConnection] = {}
        self.complete = asyncio.Event()
        self.over = asyncio.Event()
        self._decoder = frames.Decoder()
        self._bodies: list[bytes] = []

    async def send(self, data: bytes, name: str = "1") -> None:
        await self.sockets[name].send(data)

    async def read(self) -> bytes:
        """The next frame body that the server sent."""
        while not self._bodies:
            data = await self.sockets["0"].recv()
            assert isinstance(data, bytes)
            self._bodies = self._decoder.feed(data)
        return self._bodies.pop(0)

    async def hello(self, **changes: int) -> None:
        """To the attach, which it reads."""
        body = await self.read()
        assert body[:1] == frames.ATTACH
        offset = int.from_bytes(body[27:35])
        await self.send(hello(0 if offset == frames.FROM_BASE else offset, **changes))

    async def answer(self) -> None:
        """W with K and P with P, for ever."""
        while True:
            body = await self.read()
            if body[:1] == frames.WRITER:
                await self.send(frames.frame(b"K", body[1:] + bytes(8)))
            elif body[:1] == frames.PING:
                await self.send(frames.frame(b"P", body[1:]))


def hello(at: int = 0, *, version: int = 1, **changes: int) -> bytes:
    fields = {"base": at, "acked": at, "head": at, "cols": 80, "rows": 24, "start": at} | changes
    numbers = [fields[name] for name in ("base", "acked", "head")]
    size = [fields[name] for name in ("cols", "rows")]
    return frames.frame(
        b"H",
        bytes([version, 0])
        + (1).to_bytes(8)
        + BIRTH
        + b"".join(number.to_bytes(8) for number in numbers)
        + b"".join(number.to_bytes(2) for number in size)
        + fields["start"].to_bytes(8),
    )


async def _at_once(_connection: ServerConnection, _request: Request) -> None:
    """Nothing holds a handshake up; a test may put something else in its place."""


Script = Callable[[Attached], Awaitable[None]]


class FakeLxd:
    """What `Exec.open` needs of LXD; each exec is played by the next script, the last one again and again."""

    def __init__(self, socket: Path, scripts: list[Script]) -> None:
        self.address = Address(str(socket))
        self.paths: list[Attached] = []
        self._scripts = scripts
        self.opening: Callable[[ServerConnection, Request], Awaitable[None]] = _at_once
        self._tasks: set[asyncio.Task[None]] = set()

    async def exec(self, _container: str, _command: list[str], _environment: dict[str, str]) -> ExecSockets:
        number = len(self.paths)
        self.paths.append(Attached())
        self._run(self._play(self.paths[-1], self._scripts[min(number, len(self._scripts) - 1)]))
        return ExecSockets(str(number), {name: name for name in NAMES})

    async def complaint(self, _operation: str) -> str:
        return ""

    async def serve(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        url = urlsplit(connection.request.path)
        path = self.paths[int(url.path.split("/")[3])]
        path.sockets[parse_qs(url.query)["secret"][0]] = connection
        if len(path.sockets) == len(NAMES):
            path.complete.set()
        await path.over.wait()

    async def open(self, connection: ServerConnection, request: Request) -> None:
        """Before a handshake is answered."""
        await self.opening(connection, request)

    async def close(self) -> None:
        for path in self.paths:
            path.over.set()
        for task in self._tasks:
            task.cancel()
        for end in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(end, Exception):
                raise end

    def _run(self, script: Awaitable[None]) -> None:
        self._tasks.add(asyncio.ensure_future(script))

    async def _play(self, path: Attached, script: Script) -> None:
        await path.complete.wait()
        with contextlib.suppress(ConnectionClosed):
            await script(path)


@contextlib.asynccontextmanager
async def playing(folder: Path, *scripts: Script) -> AsyncIterator[FakeLxd]:
    fake = FakeLxd(folder / "lxd.sock", list(scripts))
    server = unix_serve(fake.serve, fake.address.socket, compression=None, max_size=None, process_request=fake.open)
    async with server:
        try:
            yield fake
        finally:
            await fake.close()


async def attach(fake: FakeLxd, **options: object) -> Exec:
    """An exec whose holder has said hello."""
    claim = Attach(epoch=1, birth=bytes(16), offset=frames.FROM_BASE, size=(80, 24))
    return await Exec.open(cast("Lxd", fake), "container", ["holder"], claim, **options)  # type: ignore[arg-type]  # gate and more
