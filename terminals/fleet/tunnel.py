"""Tunnel: one browser's messages between two instances, by two Redis streams: in order, each once, or it breaks.

For a page that lands beside the owner of its terminal while nobody can claim. Like every feed it is a copy that may be lost:
the page resumes by offset and seq, as after any cut.
"""

import asyncio
import struct
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NamedTuple

from terminals.errors import Cut
from terminals.fleet.feeds import Feeds

BINARY, TEXT, CLOSE, HOLD, RELEASE = b"btchr"
"""What a message is: a browser's two kinds; the end (code u16, reason); send nothing more for now; go on."""
BEAT_S = 2.0
SILENCE_S = 6.0
"""The other end beats every 2 s."""
OPEN_S = 3.0
"""For the other end's first beat."""
ENTRY = 32_768
"""Bytes of messages in one entry, about."""
ENTRIES = 512
"""Kept in the stream; who is further behind has lost some, and breaks."""
LIMIT = 2_097_152
"""Bytes that may wait for Redis: as many as a viewer's queue may hold."""
BUSY = 65_536
"""Waiting bytes beyond which who sends should wait for `drained`."""
OVERHEAD = 64
END_S = 2.0
PACE_S = 0.005
"""Between two entries, so that many small pieces go as one; a key after a pause goes at once."""

_SEQ = struct.Struct(">Q")
_HEAD = struct.Struct(">BI")
_CODE = struct.Struct(">H")


class Message(NamedTuple):
    """One message; a TEXT is UTF-8."""

    kind: int
    data: bytes


class Tunnel:
    """One end. `open` it, then `run` it until it is over; `take` gets the messages as they come and must not raise."""

    def __init__(self, feeds: Feeds, name: str, *, owner: bool, take: Callable[[list[Message]], None]) -> None:
        self._feeds = feeds
        ends = ("page", "owner") if owner else ("owner", "page")
        self._there, self._here = (f"educenter:tunnel:{name}:{end}" for end in ends)
        self._take = take
        self._greeted = owner
        """The other end follows. The owner speaks first, when the page's end already does."""
        self._queue: list[Message] = []
        self._bytes = 0
        self._sent = self._received = 0
        self._heard_at = self._flushed_at = 0.0
        self._wake = asyncio.Event()
        self._drained = asyncio.Event()
        self._over = False
        self._broken: Cut | None = None

    async def open(self) -> None:
        """Follows what the other end sends.

        Raises:
            Unavailable: Redis doesn't answer.
        """
        await self._feeds.follow(self._here, self._receive)
        # Until it is greeted, the other end has less time.
        self._heard_at = time.monotonic() - (0 if self._greeted else SILENCE_S - OPEN_S)
        self._wake.set()

    async def run(self) -> None:
        """Sends what is queued, and a beat where nothing is, until `finish`.

        Raises:
            Cut: the other end is silent, or something was lost.
            Unavailable: Redis doesn't answer.
        """
        try:
            while not self._over:
                with suppress(TimeoutError):
                    async with asyncio.timeout(BEAT_S if self._greeted else OPEN_S):
                        await self._wake.wait()
                self._wake.clear()
                if self._broken is not None:
                    raise self._broken
                if time.monotonic() - self._heard_at > SILENCE_S:
                    raise Cut("The server that has this terminal doesn't answer. Try again in a moment")
                if self._greeted:
                    await self._flush()
            with suppress(TimeoutError):
                async with asyncio.timeout(END_S):
                    await self._flush()
        finally:
            self._over = True
            self._drained.set()
            self._feeds.unfollow(self._here)

    @property
    def over(self) -> bool:
        return self._over or self._broken is not None

    @property
    def waiting(self) -> int:
        """Bytes that wait for Redis."""
        return self._bytes

    def send(self, messages: Iterable[Message]) -> None:
        """Queues; it goes at once."""
        for message in messages:
            self._queue.append(message)
            self._bytes += len(message.data) + OVERHEAD
        if self._bytes > LIMIT:
            self._break(Cut("The servers can't keep up with this terminal's output"))
        self._wake.set()

    async def drained(self) -> None:
        """Waits until little waits, or it is over."""
        while self._bytes > BUSY and not self.over:
            self._drained.clear()
            await self._drained.wait()

    def finish(self, code: int = 0, reason: str = "") -> None:
        """Ends it behind what is queued; the other end hears `code`."""
        if not self._over:
            self.send([Message(CLOSE, _CODE.pack(code) + reason.encode())])
            self._over = True

    async def _flush(self) -> None:
        await asyncio.sleep(self._flushed_at + PACE_S - time.monotonic())
        self._flushed_at = time.monotonic()
        queued, self._queue, self._bytes = self._queue, [], 0
        await self._feeds.append(self._there, self._entries(queued), ENTRIES)
        self._drained.set()

    def _entries(self, messages: list[Message]) -> list[bytes]:
        """At least one, which is a beat."""
        entries: list[bytes] = []
        pieces: list[bytes] = []
        size = 0
        for kind, data in messages:
            pieces += (_HEAD.pack(kind, len(data)), data)
            size += len(data)
            if size > ENTRY:
                entries.append(self._entry(pieces))
                pieces, size = [], 0
        if pieces or not entries:
            entries.append(self._entry(pieces))
        return entries

    def _entry(self, pieces: list[bytes]) -> bytes:
        self._sent += 1
        return _SEQ.pack(self._sent) + b"".join(pieces)

    def _receive(self, entry: bytes) -> None:
        if self.over:
            return
        (seq,) = _SEQ.unpack_from(entry)
        if seq != self._received + 1:
            self._break(Cut("A message between the servers was lost. Connect again"))
            return
        self._received, self._heard_at = seq, time.monotonic()
        if not self._greeted:
            self._greeted = True
            self._wake.set()
        self._take(list(_messages(entry)))

    def _break(self, reason: Cut) -> None:
        self._broken = self._broken or reason
        self._drained.set()
        self._wake.set()


def _messages(entry: bytes) -> Iterable[Message]:
    at = _SEQ.size
    while at < len(entry):
        kind, size = _HEAD.unpack_from(entry, at)
        at += _HEAD.size + size
        yield Message(kind, entry[at - size : at])


def closing(message: Message) -> tuple[int, str]:
    """Of a CLOSE: the close code, 0 where the browser went by itself, and the reason."""
    (code,) = _CODE.unpack_from(message.data)
    return code, message.data[_CODE.size :].decode("utf-8", "replace")
