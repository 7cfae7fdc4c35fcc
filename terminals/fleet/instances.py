"""Instances: which of them live, by the heartbeat that each keeps in Redis."""

from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import RedisError

from terminals.errors import Unavailable
from terminals.fleet.presence import ALIVE


@dataclass(frozen=True, slots=True)
class Instance:
    """One that lives."""

    name: str
    terminals: int
    """That it owned when it last told, at most 2 s ago."""


class Instances:
    """Reads the heartbeats of all."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def alive(self) -> list[Instance]:
        """By name. One that was killed is still in it for 6 s.

        Raises:
            Unavailable: Redis doesn't answer.
        """
        try:
            keys = [key async for key in self._redis.scan_iter(match=f"{ALIVE}*", count=1000)]
            told = await self._redis.mget(keys) if keys else []
        except (RedisError, OSError) as error:
            raise Unavailable(f"Redis doesn't answer, so nobody knows which instances live: {error}") from error
        names = [key.decode().removeprefix(ALIVE) for key in keys]
        return sorted(
            (Instance(name, int(text or 0)) for name, text in zip(names, told, strict=True) if text is not None),
            key=lambda each: each.name,
        )
