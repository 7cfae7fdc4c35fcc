"""Path: a terminal's way to its holder. Made, listened to, and made anew when it breaks, until the terminal is over."""

import asyncio
import time
from contextlib import suppress
from typing import Protocol

import structlog

from terminals.errors import Cut, Lost, Refused, TerminalsError, Unavailable
from terminals.link import frames
from terminals.link.exec import Exec
from terminals.mirror import Mirror

log = structlog.get_logger(__name__)

SILENCE_S = 10
"""The holder answers every ping; nothing heard for so long means that the path is dead without saying so."""
BACKOFF_S = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0)
STABLE_S = 2
"""A path that held for so long wasn't made in vain: the next try doesn't wait."""

Source = Exec | Mirror
"""Where a terminal's frames come from: its holder, or the instance that owns it."""


class End(Protocol):
    """Who is at the near end of a path."""

    @property
    def done(self) -> bool:
        """No path is wanted any more."""

    async def reach(self) -> Source:
        """Opens one. Cut, Unavailable and Refused are tried again."""

    def reached(self, source: Source) -> None:
        """It is there: `pump` comes next."""

    def hear(self, bodies: list[bytes]) -> None:
        """The frames of one read, in the very callback that read them; says when, in `Path.heard_at`."""

    def failed(self, error: TerminalsError, *, last: bool) -> None:
        """It couldn't be opened; `last`: as often as that makes sense where it is refused."""

    def cut(self, error: Cut) -> None:
        """It broke."""

    def left(self) -> None:
        """It is over, however it ended."""

    def lose(self, error: Lost) -> None:
        """There is no holder any more."""

    def close(self, reason: TerminalsError) -> None:
        """For good."""


class Path:
    """`run` it; one source at a time."""

    def __init__(self, name: str, end: End) -> None:
        self.source: Source | None = None
        self.heard_at = 0.0
        """By the monotonic clock."""
        self._name = name
        self._end = end
        self._again = asyncio.Event()
        self._nonce = 0

    @property
    def mirrored(self) -> bool:
        """It leads to another instance, which owns the terminal."""
        return isinstance(self.source, Mirror)

    @property
    def congested(self) -> bool:
        """It doesn't take frames as fast as they come: who posts them must wait for `drain`."""
        return self.source is not None and self.source.congested

    async def run(self) -> None:
        """Until the end is done, or closed."""
        failures = 0
        while not self._end.done:
            await self._pause(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])
            failures += 1
            try:
                source = await self._end.reach()
            except (Cut, Unavailable, Refused) as error:
                self._end.failed(error, last=failures >= len(BACKOFF_S))
            except Lost as error:
                self._end.lose(error)
                return
            except TerminalsError as error:
                self._end.close(error)
                return
            else:
                if await self._follow(source) > STABLE_S:
                    failures = 0

    def try_again(self) -> None:
        """What stood in the way is gone: the next try needn't wait."""
        self._again.set()

    def post(self, data: bytes) -> None:
        """Sends if there is a source; when it breaks, its pump says so and it is made anew."""
        if self.source is not None:
            self.source.post(data)

    async def drain(self) -> None:
        """Waits a little for the source to take what was posted."""
        if self.source is not None:
            await self.source.drain()

    def abort(self, reason: Cut) -> None:
        """Breaks it, if it stands."""
        if self.source is not None:
            self.source.abort(reason)

    def finish(self) -> None:
        """The shell has exited: nothing more comes."""
        if self.source is not None:
            self.source.finish()

    def alive(self, now: float) -> bool:
        """There is one, and something was heard of late; a silent one is broken."""
        if self.source is None:
            return False
        if now - self.heard_at > SILENCE_S:
            log.warning("holder_silent", terminal=self._name)
            self.abort(Cut("the holder is silent"))
            return False
        return True

    def ping(self) -> None:
        """Whoever is there answers."""
        self._nonce = (self._nonce + 1) & 0xFFFFFFFF
        self.post(frames.ping(self._nonce))

    async def _follow(self, source: Source) -> float:
        """Hands on what comes until it breaks; for how many seconds it held."""
        began = self.heard_at = time.monotonic()
        self.source = source
        try:
            self._end.reached(source)
            await source.pump(self._end.hear)
        except Cut as error:
            self._end.cut(error)
        except TerminalsError as error:
            self._end.close(error)
        finally:
            self.source = None
            self._end.left()
            await source.close()
        return time.monotonic() - began

    async def _pause(self, seconds: float) -> None:
        self._again.clear()
        if seconds:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._again.wait()
