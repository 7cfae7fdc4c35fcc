"""Pipe: a command in a container over one LXD exec, its input and output held back by who takes them. No holder, no pty."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

from terminals.errors import Cut
from terminals.link.streams import Stream, close_all, connect_all
from terminals.lxd import Lxd

HIGH, LOW = 262_144, 65_536
"""Bytes of output that wait here before LXD isn't read any more, and when it is again."""
PIECE = 65_536
"""Bytes of one message to LXD."""
COMPLAINT = 4_096
"""Bytes of stderr that are kept."""
STALL_S = 60
"""A command that takes no input, or puts nothing out, for so long is stopped, or isn't ours."""
END_S = 20
"""From the end of its input to its own."""


@dataclass(frozen=True, slots=True)
class Login:
    """Who runs it."""

    uid: int
    gid: int
    home: str


class Pipe:
    """`running` opens one. Leaving it early kills the command: LXD does when the control socket drops."""

    def __init__(self, lxd: Lxd, operation: str, streams: dict[str, Stream]) -> None:
        self._lxd = lxd
        self._operation = operation
        self._streams = streams
        self._chunks: deque[bytes] = deque()
        self._waiting = 0
        """Bytes in them."""
        self._over = asyncio.Event()
        self._news = asyncio.Event()
        self._stderr = bytearray()
        streams["1"].hand_to(self._take)
        streams["2"].hand_to(self._complain)

    @classmethod
    @asynccontextmanager
    async def running(cls, lxd: Lxd, container: str, command: list[str], login: Login) -> AsyncIterator[Self]:
        """The command, as `login`.

        Raises:
            Refused: LXD doesn't run it. Cut, Unavailable: LXD doesn't answer.
        """
        environment = {"HOME": login.home, "LANG": "C.UTF-8"}
        started = await lxd.exec(container, command, environment, (login.uid, login.gid))
        streams = await connect_all(lxd.address, started)
        try:
            yield cls(lxd, started.operation, streams)
        finally:
            await close_all(streams.values())

    async def read(self) -> bytes:
        """Output as it came; `b""` at its end, or when LXD is gone: only `status` tells which.

        Raises:
            Cut: nothing comes for long: the container was frozen, say.
        """
        try:
            async with asyncio.timeout(STALL_S):
                while not self._chunks and not self._over.is_set():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError as error:
            raise Cut("the command says nothing any more") from error
        if not self._chunks:
            return b""
        chunk = self._chunks.popleft()
        before, self._waiting = self._waiting, self._waiting - len(chunk)
        if self._waiting <= LOW < before and not self._over.is_set():
            self._streams["1"].transport.resume_reading()
        return chunk

    async def write(self, data: bytes) -> None:
        """Input, as fast as it is taken.

        Raises:
            Cut: it isn't: the command has ended, or hangs.
        """
        stream = self._streams["0"]
        for at in range(0, len(data), PIECE):
            if self._over.is_set():
                raise Cut("the command ended before its input did")
            stream.post(data[at : at + PIECE])
            if stream.paused:
                await self._drain(stream)

    async def finish(self) -> None:
        """The end of its input; waits for the end of its output.

        Raises:
            Cut: that doesn't come.
        """
        if self._over.is_set():
            return
        try:
            async with asyncio.timeout(END_S):
                with contextlib.suppress(Cut):  # then it is over, or about to be
                    await self._streams["0"].finish()
                await self._over.wait()
        except TimeoutError as error:
            raise Cut("the command doesn't end") from error

    async def status(self) -> tuple[int | None, str]:
        """Its exit status, once its output is over, and what it complained of; None: it was cut off."""
        await close_all(self._streams.values())
        text = "".join(c for c in self._stderr.decode("utf-8", "replace") if c.isprintable() or c == "\n")
        return await self._lxd.outcome(self._operation), text.strip()

    async def _drain(self, stream: Stream) -> None:
        draining, ended = asyncio.ensure_future(stream.drain()), asyncio.ensure_future(self._over.wait())
        done, left = await asyncio.wait((draining, ended), timeout=STALL_S, return_when=asyncio.FIRST_COMPLETED)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        if draining not in done or draining.exception() is not None:
            raise Cut("the command takes no input")

    def _take(self, data: bytes) -> None:
        if not data:
            self._over.set()
        elif not self._over.is_set():
            self._chunks.append(data)
            self._waiting += len(data)
            if self._waiting > HIGH:
                self._streams["1"].transport.pause_reading()
        self._news.set()

    def _complain(self, data: bytes) -> None:
        self._stderr += data[: COMPLAINT - len(self._stderr)]
