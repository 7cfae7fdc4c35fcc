"""Bus: what instances tell each other, over Redis. The only file with the names of those channels.

Notices are a hint that makes things quick, never the truth: that is in PostgreSQL, and who misses a notice finds it there.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

CHANNEL = "educenter:notices"
RETRY_S = 1.0
POLL_S = 5.0

Handler = Callable[[str], Awaitable[None]]


class Bus:
    """Notices between instances: `ended`, `rest`, `restarting` (of a session), `revoked` (a user), `drain` (an instance)."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._handlers: dict[str, Handler] = {}

    def on(self, kind: str, handler: Handler) -> None:
        """What this instance does at such a notice, its own included."""
        self._handlers[kind] = handler

    async def notify(self, kind: str, value: str) -> None:
        """Tells every instance. Without Redis nobody is told, and that is logged."""
        try:
            await self._redis.publish(CHANNEL, json.dumps([kind, value]))
        except (RedisError, OSError) as error:
            log.warning("notice_not_sent", kind=kind, reason=str(error))

    async def run(self) -> None:
        """Listens for ever; a lost connection is made anew."""
        while True:
            try:
                async with self._redis.pubsub() as subscription:
                    await subscription.subscribe(CHANNEL)
                    while True:
                        message = await subscription.get_message(ignore_subscribe_messages=True, timeout=POLL_S)
                        if message is not None:
                            await self._handle(message["data"])
            except (RedisError, OSError) as error:
                log.warning("notices_interrupted", reason=str(error))
                await asyncio.sleep(RETRY_S)

    async def _handle(self, data: bytes) -> None:
        try:
            kind, value = json.loads(data)
        except (ValueError, TypeError):
            log.warning("notice_not_understood")
            return
        handler = self._handlers.get(kind)
        if handler is not None:
            try:
                await handler(str(value))
            except Exception:
                # One bad notice must not make this instance deaf.
                log.exception("notice_failed", kind=kind)
