"""Feeds: Redis streams between instances: each instance's inbox, and the output of watched terminals. One reader for all.

What is in a stream is a copy that may be lost: the holder's ring stays the truth, and who finds a hole begins anew.
"""

import asyncio
import json
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from terminals.errors import Unavailable

log = structlog.get_logger(__name__)

INBOX = "educenter:inbox:"
BLOCK_MS = 1_000
"""Below the client's own timeout, or every idle read would count as a failure."""
COUNT = 16
"""Entries of one stream in one read."""
ENTRIES = 32
"""Kept of a terminal's output: each is at most 64 KiB, and who is further behind begins anew."""
MESSAGES = 1_000
"""Kept of an inbox."""
TTL_S = 60
"""A stream that nobody writes to is gone after so long."""
UNSENT = 262_144
"""Bytes of messages that wait for Redis; the oldest go, for all of them are said again."""
RETRY_S = 1.0

Taker = Callable[[bytes], None]
Handler = Callable[[dict[str, object]], None]


class Feeds:
    """Follows streams and writes to them. Handlers are called in the reader's task and must not raise."""

    def __init__(self, redis: Redis, instance: str) -> None:
        self._redis = redis
        self._inbox = (INBOX + instance).encode()
        self._instance = instance
        self._takers: dict[bytes, Taker] = {}
        self._seen: dict[bytes, bytes] = {self._inbox: b"0"}
        """Stream → the last entry that was read."""
        self._handlers: dict[str, Handler] = {}
        self._unsent: deque[tuple[bytes, bytes]] = deque()
        self._unsent_bytes = 0
        self._wake = asyncio.Event()

    # -- messages from instance to instance ----------------------------------------------------------------------------

    def on(self, kind: str, handler: Handler) -> None:
        """What this instance does at such a message."""
        self._handlers[kind] = handler

    def tell(self, instance: str, kind: str, /, **said: object) -> None:
        """Sends in the background; without Redis it is dropped in the end, so what matters is said again and again."""
        message = json.dumps({"kind": kind, **said}).encode()
        self._unsent.append(((INBOX + instance).encode(), message))
        self._unsent_bytes += len(message)
        while self._unsent_bytes > UNSENT:
            self._unsent_bytes -= len(self._unsent.popleft()[1])
        self._wake.set()

    # -- terminals' output -----------------------------------------------------------------------------------------------

    async def append(self, key: str, entries: Iterable[bytes], most: int = ENTRIES) -> None:
        """Adds to a stream, which keeps the last `most`.

        Raises:
            Unavailable: Redis doesn't answer.
        """
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                for entry in entries:
                    pipe.execute_command("XADD", key, "MAXLEN", most, "*", "f", entry)
                pipe.execute_command("EXPIRE", key, TTL_S)
                await pipe.execute()
        except (RedisError, OSError) as error:
            raise Unavailable("Redis doesn't answer") from error

    async def follow(self, key: str, taker: Taker) -> None:
        """From now on `taker` gets what is added to the stream, until `unfollow`.

        Raises:
            Unavailable: Redis doesn't answer.
        """
        try:
            last: Any = await self._redis.xrevrange(key, count=1)
        except (RedisError, OSError) as error:
            raise Unavailable("Redis doesn't answer, so this can't be watched now. Try again in a moment") from error
        name = key.encode()
        self._takers[name], self._seen[name] = taker, last[0][0] if last else b"0"
        # The reader waits for the streams that it knew before: a message to ourselves ends that.
        self.tell(self._instance, "wake")

    def unfollow(self, key: str) -> None:
        """`taker` gets nothing more."""
        self._takers.pop(key.encode(), None)
        self._seen.pop(key.encode(), None)

    # -- the work ----------------------------------------------------------------------------------------------------

    async def read(self) -> None:
        """For ever; a lost connection is made anew, and goes on behind the last entry that was read."""
        while True:
            try:
                seen: dict[Any, Any] = dict(self._seen)
                found = await self._redis.xread(seen, count=COUNT, block=BLOCK_MS)
            except (RedisError, OSError) as error:
                log.warning("feeds_interrupted", reason=str(error))
                await asyncio.sleep(RETRY_S)
                continue
            for name, entries in _streams(found):
                for at, fields in entries:
                    # It may have been unfollowed by the entry before, or followed anew while this was read.
                    if name not in self._seen or _number(at) <= _number(self._seen[name]):
                        continue
                    self._seen[name] = at
                    self._hand_on(name, fields.get(b"f", b""))

    async def send(self) -> None:
        """For ever: what was told."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch = list(self._unsent)
            self._unsent.clear()
            self._unsent_bytes = 0
            try:
                async with self._redis.pipeline(transaction=False) as pipe:
                    for inbox, message in batch:
                        pipe.execute_command("XADD", inbox, "MAXLEN", "~", MESSAGES, "*", "f", message)
                        pipe.execute_command("EXPIRE", inbox, TTL_S)
                    await pipe.execute()
            except (RedisError, OSError) as error:
                log.warning("messages_not_sent", count=len(batch), reason=str(error))

    def _hand_on(self, name: bytes, data: bytes) -> None:
        try:
            if name != self._inbox:
                self._takers[name](data)
                return
            message = json.loads(data)
            handler = self._handlers.get(message["kind"])
            if handler is not None:
                handler(message)
        except Exception:
            # One bad entry must not make this instance deaf.
            log.exception("entry_failed", stream=name.decode())


def _number(at: bytes) -> tuple[int, int]:
    milliseconds, _, sequence = at.partition(b"-")
    return int(milliseconds), int(sequence or 0)


def _streams(found: object) -> list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]:
    """What XREAD gave: a dictionary of lists in protocol 3, a list of pairs in protocol 2, or nothing."""
    if isinstance(found, dict):
        return [(name, entries) for name, batches in found.items() for entries in batches]
    return list(found) if isinstance(found, list) else []
