"""Relay: a sink. The frames of a watched terminal, in a Redis stream, for the instances whose people watch it."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace

import structlog

from terminals.errors import Unavailable
from terminals.fleet.feeds import Feeds
from terminals.link import frames
from terminals.person import Person

log = structlog.get_logger(__name__)

LIMIT = 1_048_576
"""Bytes that may wait for Redis; beyond it they are dropped, and all who watch begin anew."""
OVERHEAD = 64
ENTRY = 32_768
"""Bytes of frames in one entry, about."""
COALESCE_S = 0.01
"""What comes is held back for so long: the echo's way to the student, whose cores it would take, is over by then."""
FULL = LIMIT // 4
"""Bytes that aren't held back any longer."""
WATCH_S = 6.0
"""Who watches says so every 2 s; who hasn't for so long is gone."""
AWAY_S = 1.0
END_S = 1.0
"""For the farewell: a drain doesn't wait for a Redis that is away."""


def stream(terminal: str) -> str:
    """The name of a terminal's stream."""
    return f"educenter:relay:{terminal}"


@dataclass(slots=True)
class _Watching:
    until: float
    people: list[Person] = field(default_factory=list)


class Relay:
    """`offer` never blocks. `run` is a task of who made it; `again` begins the stream anew from the terminal."""

    def __init__(self, feeds: Feeds, terminal: str, again: Callable[[], Awaitable[None]]) -> None:
        self._feeds = feeds
        self._terminal = terminal
        self._key = stream(terminal)
        self._again = again
        self._instances: dict[str, _Watching] = {}
        self._queue: deque[bytes] = deque()
        self._bytes = 0
        self._behind = True
        """What waited was dropped: the stream begins anew for all."""
        self._fresh = False
        """Somebody watches from now on: the stream begins for them, behind what waits."""
        self._wake = asyncio.Event()
        self._full = asyncio.Event()

    @property
    def people(self) -> list[Person]:
        """Who watches on other instances."""
        return [person for watching in self._instances.values() for person in watching.people]

    def watch(self, instance: str, people: list[Person], *, fresh: bool) -> None:
        """An instance says that it still watches; `fresh`: from the beginning."""
        known = [replace(person, instance=instance) for person in people]
        self._instances[instance] = _Watching(time.monotonic() + WATCH_S, known)
        if fresh:
            self._fresh = True
            self._wake.set()

    def unwatch(self, instance: str) -> None:
        """Nobody watches there any more."""
        self._instances.pop(instance, None)

    def answer(self, person: Person, wish: int, state: str, reason: str, last_seq: int) -> None:
        """To a wish of somebody who watches there. Lost, it is told again as long as they are believed to wait."""
        said = {"person": person.id, "wish": wish, "state": state, "reason": reason, "last_seq": last_seq}
        self._feeds.tell(person.instance, "answer", terminal=self._terminal, **said)

    def wanted(self, now: float) -> bool:
        """Whether anybody still watches."""
        for instance in [name for name, watching in self._instances.items() if watching.until < now]:
            self.unwatch(instance)
        return bool(self._instances)

    def begin(self, bodies: Iterable[bytes]) -> None:
        """What stands now, behind what waits: who watches already misses nothing."""
        self._queue.extend(bodies)
        self._behind = self._fresh = False

    def offer(self, body: bytes) -> None:
        """Queues a frame's body; it goes at the next `flush`."""
        if self._behind:
            return
        self._queue.append(body)
        self._bytes += len(body) + OVERHEAD
        if self._bytes > FULL:
            self._full.set()
        if self._bytes > LIMIT:
            self._queue.clear()
            self._bytes = 0
            self._behind = True

    def flush(self) -> None:
        if self._queue or self._behind or self._fresh:
            self._wake.set()

    def beat(self) -> None:
        """Says that the owner lives though its terminal is silent."""
        self.offer(frames.BEAT)
        self.flush()

    async def run(self) -> None:
        """For ever: what was offered, as few entries as a hundredth of a second allows."""
        while True:
            await self._wake.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(COALESCE_S):
                    await self._full.wait()
            self._wake.clear()
            self._full.clear()
            if self._behind or self._fresh:
                await self._again()
            # Nothing may wait between the two: what was begun with may be more than `offer` lets stand.
            queued, self._queue, self._bytes = self._queue, deque(), 0
            try:
                await self._feeds.append(self._key, _entries(queued))
            except Unavailable as error:
                log.warning("relay_interrupted", stream=self._key, reason=error.message)
                self._behind = True
                self._wake.set()
                await asyncio.sleep(AWAY_S)

    async def end(self) -> None:
        """The owner lets the terminal go: who watches looks for the next one."""
        try:
            async with asyncio.timeout(END_S):
                await self._feeds.append(self._key, [frames.packed(frames.LEAVE)])
        except (Unavailable, TimeoutError) as error:
            log.warning("relay_interrupted", stream=self._key, reason=str(error))


def _entries(bodies: Iterable[bytes]) -> list[bytes]:
    entries: list[bytes] = []
    pieces: list[bytes] = []
    size = 0
    for body in bodies:
        pieces.append(frames.packed(body))
        size += len(body)
        if size >= ENTRY:
            entries.append(b"".join(pieces))
            pieces, size = [], 0
    if pieces:
        entries.append(b"".join(pieces))
    return entries
