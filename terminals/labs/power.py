"""Power: stopping and starting of students' containers, one at a time to each, whatever instance it is asked of.

An advisory lock for each container keeps apart who stops a kept one and who restores it, for a stop that comes late would end
the programs of a lab that runs again; and who puts a lab to rest and who looks whether somebody else did. The lock goes with its
holder's connection, so a dead instance holds nobody up.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import structlog

from terminals.errors import TerminalsError, Unavailable
from terminals.labs.chores import Chores
from terminals.labs.containers import Containers
from terminals.store import Store

log = structlog.get_logger(__name__)

AT_ONCE = 3
"""Of this instance's: each holds one of the database's connections meanwhile."""
PATIENCE_S, LOOK_S = 45.0, 0.1
"""For who is at it already: LXD may take its 30 s."""


class Power:
    """`close` awaits what was begun in the background."""

    def __init__(self, store: Store, containers: Containers) -> None:
        self._store = store
        self._containers = containers
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._chores = Chores("rest")

    async def wake(self, name: str) -> None:
        """One that was kept runs, and nobody stops it any more. Its row must say already that it is taken.

        Raises:
            NotFound: LXD doesn't have it.
        """
        async with self.alone(name):
            await self._containers.start(name)
            # One that was frozen counts as running.
            await self._containers.wake(name)

    async def restart(self, name: str, session: str) -> None:
        """All that runs in it ends, and it runs again; nothing is done where its session isn't restarting any more.

        Raises:
            NotFound: LXD doesn't have it.
        """
        async with self.alone(name):
            if await self._store.sessions.is_restarting(session):
                await self._containers.restart(name)

    def begin_rest(self, name: str) -> None:
        """Stops it in the background, if it is kept still. What fails the janitor does again."""
        self._chores.begin(name, partial(self._rest, name))

    async def close(self) -> None:
        """What is still under way then is left to the janitor."""
        await self._chores.close()

    async def _rest(self, name: str) -> None:
        try:
            async with self.alone(name):
                if await self._store.kept.holds(name):
                    await self._containers.halt(name)
                    log.info("container_rests", container=name)
        except TerminalsError as error:
            log.warning("container_not_stopped", container=name, reason=error.message)
        except Exception:
            log.exception("container_not_stopped", container=name)

    @asynccontextmanager
    async def alone(self, name: str) -> AsyncIterator[Containers]:
        """Nobody else stops or starts it meanwhile, on any instance.

        Raises:
            Unavailable: somebody is at it for long.
        """
        try:
            async with asyncio.timeout(PATIENCE_S) as limit:
                while True:
                    async with self._turns, self.unless_busy(name) as free:
                        if free:
                            limit.reschedule(None)
                            yield self._containers
                            return
                    await asyncio.sleep(LOOK_S)
        except TimeoutError as error:
            raise Unavailable("Your container is being stopped or started already. Try again in a moment") from error

    @asynccontextmanager
    async def unless_busy(self, name: str) -> AsyncIterator[bool]:
        """The same without waiting: whether nobody was at it."""
        key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
        async with self._store.database.lead(key) as free:
            yield free
