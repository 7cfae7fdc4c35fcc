"""Presence: what each open terminal does right now, told in Redis by the instance that has it. Never what is on its screen."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from terminals.errors import Unavailable

log = structlog.get_logger(__name__)

EVERY_S = 2.0
TTL_S = 10
"""Facts of an instance that died are gone after so long."""
TYPING_S = 5.0
"""Who typed within so long is typing."""
KEY = "educenter:presence:"
ALIVE = "educenter:instance:"
ALIVE_S = 6
"""An instance that hasn't said so for so long is taken for dead by who only watches; whoever drives doesn't ask."""
LEAVE_S = 1.0
"""A drain doesn't wait longer for Redis."""
FORGET = """
    local told = redis.call('GET', KEYS[1])
    if told and cjson.decode(told).instance == ARGV[1] then redis.call('DEL', KEYS[1]) end"""
"""Another instance may have told since."""


@dataclass(frozen=True, slots=True)
class Facts:
    """One terminal. `command` is a claim of the container."""

    command: str | None
    shell: bool
    """The shell itself is in the foreground: it waits for a command."""
    viewers: int
    typed_at: float | None
    """Unix seconds of the last input."""
    printed_at: float | None
    """Unix seconds of the last output, to within `EVERY_S`."""
    instance: str = ""
    """Who has it."""

    def state(self, now: float) -> str:
        """away, typing, running or idle."""
        if self.viewers == 0:
            return "away"
        if self.typed_at is not None and now - self.typed_at < TYPING_S:
            return "typing"
        return "idle" if self.shell else "running"

    def quiet(self, now: float) -> int | None:
        """Whole seconds since the last input or output."""
        last = max(self.typed_at or 0.0, self.printed_at or 0.0)
        return max(0, round(now - last)) if last else None


class Presence:
    """Tells the facts of this instance's terminals, and reads those of all."""

    def __init__(self, redis: Redis, instance: str) -> None:
        self._redis = redis
        self._instance = instance
        self._soon = asyncio.Event()
        self._told: dict[str, tuple[Facts, float]] = {}
        self._away = False
        self._telling = asyncio.Lock()
        self._left = False

    async def run(self, gather: Callable[[], Mapping[str, Facts]]) -> None:
        """Tells for ever what `gather` says. Without Redis nobody is told, and everything else goes on."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S):
                    await self._soon.wait()
            self._soon.clear()
            try:
                async with self._telling:
                    if self._left:
                        return
                    await self._tell(gather())
                self._away = False
            except (RedisError, OSError) as error:
                if not self._away:
                    log.warning("presence_not_told", reason=str(error))
                self._away = True

    async def leave(self) -> None:
        """Tells that this instance is gone, so that nobody waits for its keys to expire. Without Redis they do expire."""
        self._left = True
        try:
            async with asyncio.timeout(LEAVE_S), self._telling, self._redis.pipeline(transaction=False) as pipe:
                for terminal in self._told:
                    pipe.execute_command("EVAL", FORGET, 1, KEY + terminal, self._instance)
                pipe.execute_command("DEL", ALIVE + self._instance)
                await pipe.execute()
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("leaving_not_told", reason=str(error) or f"no answer in {LEAVE_S} s")

    def soon(self) -> None:
        """Something that others wait for has changed: it is told now."""
        self._soon.set()

    async def owner(self, terminal: str) -> str | None:
        """The instance that has it, if that lives.

        Raises:
            Unavailable: Redis doesn't answer.
        """
        told = (await self.of([terminal])).get(terminal)
        if told is None or not told.instance:
            return None
        try:
            alive = await self._redis.exists(ALIVE + told.instance)
        except (RedisError, OSError) as error:
            raise Unavailable("Redis doesn't answer. Try again in a moment") from error
        return told.instance if alive else None

    async def of(self, terminals: Sequence[str]) -> dict[str, Facts]:
        """What is known of these terminals, by id.

        Raises:
            Unavailable: Redis doesn't answer.
        """
        if not terminals:
            return {}
        try:
            told = await self._redis.mget([KEY + terminal for terminal in terminals])
        except (RedisError, OSError) as error:
            raise Unavailable("Redis doesn't answer, so nobody knows who is live. Try again in a moment") from error
        return {terminal: Facts(**json.loads(text)) for terminal, text in zip(terminals, told, strict=True) if text}

    async def _tell(self, facts: Mapping[str, Facts]) -> None:
        now = time.monotonic()
        # What hasn't changed is only told so that it doesn't expire.
        due = {
            terminal: each
            for terminal, each in facts.items()
            if (known := self._told.get(terminal)) is None or known[0] != each or now - known[1] > TTL_S / 2
        }
        gone = self._told.keys() - facts.keys()
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.execute_command("SET", ALIVE + self._instance, len(facts), "EX", ALIVE_S)
            for terminal, each in due.items():
                pipe.execute_command("SET", KEY + terminal, json.dumps(asdict(each)), "EX", TTL_S)
            for terminal in gone:
                pipe.execute_command("EVAL", FORGET, 1, KEY + terminal, self._instance)
            await pipe.execute()
        self._told = {terminal: self._told.get(terminal, (each, now)) for terminal, each in facts.items()}
        self._told.update({terminal: (each, now) for terminal, each in due.items()})
