"""Returning: a page that comes back whatever happens to its path, by the rules of docs/protocol.md."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp

from tests.client import Closed, Page

SILENCE_S = 3.0
"""Nothing heard for so long: the path is dead."""
PING_S = 1.0
OPEN_S = 2.0
ATTACH_S = 15.0
PAUSE_S = 0.05
NAK_S = 0.1
"""Before what wasn't taken is sent again."""
FATAL = {4400, 4401, 4404, 4408}
UNTAKEN = 50
"""Inputs that may be un-K'd: a server takes 400 frames a second, and all of them are sent again after a cut."""


class Returning(Page):
    """`async with page.running()` reads, acks, pings and connects again until the block's end."""

    live = False
    """Attached: what is sent arrives or is sent again."""
    most: int | None = None
    """Acks go no further, so that the holder stops near it."""
    times_attached = 0
    attached_at = 0
    """The offset of the last attach."""
    began_at = 0.0
    """When that was."""
    heard_at = 0.0
    lost_at = 0.0
    """When the last path was noticed to be dead."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self._sending = asyncio.Lock()
        self._again = self._naked = False
        task = self._task = asyncio.create_task(self._run())
        try:
            await self.when(lambda: self.live)
            yield
        finally:
            task.cancel()
            (failed,) = await asyncio.gather(task, return_exceptions=True)
            if self._socket is not None:
                self.drop()
            assert isinstance(failed, BaseException), "it reads for ever"
            if not isinstance(failed, asyncio.CancelledError):
                raise failed

    async def when(self, holds: Callable[[], bool], timeout: float = 30) -> None:
        """Waits for what the running page learns."""
        limit = time.monotonic() + timeout
        while not holds():
            if self._task.done():
                self._task.result()
            assert time.monotonic() < limit, f"not in {timeout} s: {self.where()}"
            await asyncio.sleep(0.005)

    def where(self) -> str:
        return (
            f"live {self.live}, {self.role}, attached {self.times_attached} times, at {self.offset}, "
            f"acked {self._acked} of at most {self.most}, un-K'd {sorted(self.unacknowledged)[:3]}…, "
            f"messages {self.messages[-4:]}, output ends {bytes(self.output[-100:])!r}"
        )

    @property
    def full(self) -> bool:
        """So much is un-K'd that more must wait."""
        return len(self.unacknowledged) >= UNTAKEN

    async def type(self, text: str | bytes) -> int:
        """Keeps the input until K; sends it at once where there is a path."""
        while self.full:
            await asyncio.sleep(0.005)
        async with self._sending:
            self.seq += 1
            self.unacknowledged[self.seq] = text.encode() if isinstance(text, str) else text
            if self.live and self.role == "driver":
                with suppress(ConnectionError):
                    await self._send(b"I" + self.seq.to_bytes(8) + self.unacknowledged[self.seq])
        return self.seq

    async def ack(self) -> None:
        """What was rendered, but no further than `most`."""
        reached = self.offset if self.most is None else min(self.offset, self.most)
        self._acked = reached
        with suppress(ConnectionError):
            await self._send(b"A" + reached.to_bytes(8))

    async def allow(self, most: int | None) -> None:
        """Acks up to here from now on."""
        self.most = most
        if self.live:
            await self.ack()

    async def take(self) -> None:
        """Continue here, as the person does who presses that button."""
        if self.live:
            with suppress(ConnectionError):
                await self.say({"type": "take"})

    async def _run(self) -> None:
        while True:
            try:
                await self._live()
            except Closed as end:
                if end.code in FATAL:
                    raise
            except (aiohttp.ClientError, OSError, TimeoutError):
                # The path broke: that is what this page is for.
                pass
            self.live = False
            self.lost_at = time.monotonic()
            if self._socket is not None:
                self.drop()
                self._socket = None
            await asyncio.sleep(PAUSE_S)

    async def _live(self) -> None:
        async with self._sending:
            self._again = self._naked = False
            async with asyncio.timeout(ATTACH_S):
                await self.connect()
            self._again = False
            self._begin()
        pinged = self.heard_at
        while True:
            now = time.monotonic()
            if now - self.heard_at > SILENCE_S:
                raise TimeoutError
            if now - pinged > PING_S:
                pinged = now
                await self.ping()
            with suppress(TimeoutError):
                await self.step(0.1)
                self.heard_at = time.monotonic()
            if self._again or self._naked:
                await self._send_again()

    async def open(self, **headers: str) -> aiohttp.ClientWebSocketResponse:
        async with asyncio.timeout(OPEN_S):
            return await super().open(**headers)

    def _begin(self) -> None:
        self.live = True
        self.times_attached += 1
        self.attached_at = self.offset
        self.heard_at = self.began_at = time.monotonic()

    async def _send_again(self) -> None:
        if self._naked:
            await asyncio.sleep(NAK_S)
        async with self._sending:
            if self._again:
                self._begin()
            self._again = self._naked = False
            for seq, data in sorted(self.unacknowledged.items() if self.role == "driver" else ()):
                await self._send(b"I" + seq.to_bytes(8) + data)

    def _text(self, message: dict[str, Any]) -> None:
        del self.messages[:-20]
        super()._text(message)
        match message["type"]:
            case "attached":
                self.role = message["role"]
                self._note_taken(message["last_seq"] if self.role == "driver" else 0)
                self._again = True
            case "detached":
                self.live = False
                self.lost_at = time.monotonic()
            case "role":
                self.role = message["role"]
            case "nak":
                assert message["reason"] != "unknown", message
                self._note_taken(message["expected"] - 1)
                self._naked = self.role == "driver"
            case "lost" | "exit":
                raise AssertionError(message)
            case _:
                pass

    def _note_taken(self, seq: int) -> None:
        self.taken = max(self.taken, seq)
        for old in [old for old in self.unacknowledged if old <= seq]:
            del self.unacknowledged[old]
