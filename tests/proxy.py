"""A real proxy in front of a real service: cuts at a byte, freezes, delays, splits, and refuses until it is mended."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

BLOCK = 65_536

Way = Literal["up", "down"]
How = Literal["reset", "end", "freeze"]


@dataclass
class Trouble:
    """What befalls the connection that carries the byte after the next `after` bytes of one way, all connections counted."""

    way: Way
    after: int
    how: How
    happened: threading.Event = field(default_factory=threading.Event)


@dataclass(eq=False)
class Link:
    """One connection: the client's and the service's side."""

    client: asyncio.StreamWriter
    service: asyncio.StreamWriter | None = None
    frozen: bool = False

    def abort(self) -> None:
        """Ends both sides with a reset where the socket knows one; what was written may be lost, as in a real reset."""
        for writer in (self.client, self.service):
            if writer is None or writer.transport.is_closing():
                continue
            found = writer.get_extra_info("socket")
            if found is not None and found.family == socket.AF_INET:
                found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


class Proxy:
    """Listens on a unix socket's path or a TCP port (0: any) and passes bytes to another path or port."""

    def __init__(self, target: str | int, listen: Path | int = 0) -> None:
        self.target = target
        """Where new connections go; may be changed, as a balancer does."""
        self.listen = listen
        self.port = 0
        self.delay = 0.0
        """Seconds that each block waits, either way."""
        self.slivers = 0
        """So many of the next bytes, either way, are written one by one."""
        self.passed = {"up": 0, "down": 0}
        self._trouble: Trouble | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._links: set[Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        self.mend()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def cut(self) -> None:
        """Aborts every connection and refuses new ones."""
        self._do(self._cut())

    def drop(self) -> None:
        """Aborts every connection; new ones are welcome."""
        self._do(self._drop())

    def mend(self) -> None:
        """Accepts connections again."""
        self._do(self._mend())

    def freeze(self) -> None:
        """Every connection of now falls silent, without an end."""
        for link in list(self._links):
            link.frozen = True

    def thaw(self) -> None:
        """Aborts the frozen connections: what a router does with those that it has forgotten."""
        self._do(self._thaw())

    def arm(self, way: Way, after: int, how: How) -> Trouble:
        """Trouble to come; it takes the place of one that hasn't happened."""
        trouble = Trouble(way, after, how)
        self._do(self._arm(trouble))
        return trouble

    def disarm(self) -> None:
        """The trouble that hasn't happened won't."""
        self._do(self._arm(None))

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _arm(self, trouble: Trouble | None) -> None:
        self._trouble = trouble

    async def _mend(self) -> None:
        if isinstance(self.listen, Path):
            self.listen.unlink(missing_ok=True)
            self._server = await asyncio.start_unix_server(self._serve, self.listen)
        else:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port or self.listen)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._drop()

    async def _drop(self) -> None:
        for link in self._links:
            link.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _thaw(self) -> None:
        for link in self._links:
            if link.frozen:
                link.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        link = Link(writer)
        self._tasks.add(task)
        self._links.add(link)
        try:
            await self._pass(reader, link)
        except (asyncio.CancelledError, OSError):
            # The cut itself; the abort below is all that is left to do.
            pass
        finally:
            self._links.discard(link)
            self._tasks.discard(task)
            for side in (link.client, link.service):
                if side is not None:
                    side.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, link: Link) -> None:
        if isinstance(self.target, str):
            answers, link.service = await asyncio.open_unix_connection(self.target)
        else:
            answers, link.service = await asyncio.open_connection("127.0.0.1", self.target)
        copies = [
            asyncio.create_task(self._copy(reader, link.service, link, "up")),
            asyncio.create_task(self._copy(answers, link.client, link, "down")),
        ]
        try:
            await asyncio.gather(*copies)
        finally:
            for copy in copies:
                copy.cancel()
            await asyncio.gather(*copies, return_exceptions=True)

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, link: Link, way: Way) -> None:
        while True:
            data = await reader.read(BLOCK)
            if self.delay:
                await asyncio.sleep(self.delay)
            if link.frozen:
                await _for_ever(writer)
            if not data:
                break
            trouble = self._trouble
            if trouble is not None and trouble.way == way:
                if len(data) >= trouble.after:
                    self._trouble = None
                    await self._write(writer, data[: trouble.after], way)
                    await _befall(trouble, link)
                    await _for_ever(writer)
                trouble.after -= len(data)
            await self._write(writer, data, way)
        with contextlib.suppress(OSError):
            writer.write_eof()

    async def _write(self, writer: asyncio.StreamWriter, data: bytes, way: Way) -> None:
        slivers = min(self.slivers, len(data))
        self.slivers -= slivers
        for at in range(slivers):
            writer.write(data[at : at + 1])
            # The other end may read now: what is written at once would be read at once.
            await asyncio.sleep(0)
        writer.write(data[slivers:])
        await writer.drain()
        self.passed[way] += len(data)


async def _befall(trouble: Trouble, link: Link) -> None:
    if trouble.how == "freeze":
        link.frozen = True
    elif trouble.how == "reset":
        link.abort()
    else:
        for side in (link.client, link.service):
            if side is not None:
                side.close()
    trouble.happened.set()


async def _for_ever(writer: asyncio.StreamWriter) -> None:
    """Passes nothing any more, until the connection is aborted."""
    await writer.wait_closed()
    raise ConnectionAbortedError
