"""Power: stopping and starting of students' containers, one at a time to each, whatever instance it is asked of.

An advisory lock for each container keeps apart who stops a kept one and who restores it: a stop that comes late would end the
programs of a lab that runs again. The lock goes with its holder's connection, so a dead instance holds nobody up.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from terminals.errors import TerminalsError, Unavailable
from terminals.labs.containers import Containers
from terminals.store import Store

log = structlog.get_logger(__name__)

AT_ONCE = 3
"""Of this instance's: each holds one of the database's connections meanwhile."""
PATIENCE_S, LOOK_S = 45.0, 0.1
"""For who is at it already: LXD may take its 30 s."""
CLOSE_TIMEOUT_S = 8.0
"""What is still under way then is left to the janitor."""


class Power:
    """`close` awaits what was begun in the background."""

    def __init__(self, store: Store, containers: Containers) -> None:
        self._store = store
        self._containers = containers
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def wake(self, name: str) -> None:
        """One that was kept runs, and nobody stops it any more. Its row must say already that it is taken.

        Raises:
            NotFound: LXD doesn't have it.
        """
        async with self._alone(name):
            await self._containers.start(name)
            # One that was frozen counts as running.
            await self._containers.wake(name)

    async def restart(self, name: str, session: str) -> None:
        """All that runs in it ends, and it runs again; nothing is done where its session isn't restarting any more.

        Raises:
            NotFound: LXD doesn't have it.
        """
        async with self._alone(name):
            if await self._store.sessions.is_restarting(session):
                await self._containers.restart(name)

    def begin_rest(self, name: str) -> None:
        """Stops it in the background, if it is kept still. What fails the janitor does again."""
        if name not in self._tasks:
            task = asyncio.create_task(self._rest(name), name=f"rest-{name}")
            self._tasks[name] = task
            task.add_done_callback(lambda _: self._tasks.pop(name, None))

    async def close(self) -> None:
        if self._tasks:
            _, late = await asyncio.wait(self._tasks.values(), timeout=CLOSE_TIMEOUT_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _rest(self, name: str) -> None:
        try:
            async with self._alone(name):
                if await self._store.kept.holds(name):
                    await self._containers.halt(name)
                    log.info("container_rests", container=name)
        except TerminalsError as error:
            log.warning("container_not_stopped", container=name, reason=error.message)
        except Exception:
            log.exception("container_not_stopped", container=name)

    @asynccontextmanager
    async def _alone(self, name: str) -> AsyncIterator[None]:
        key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
        try:
            async with asyncio.timeout(PATIENCE_S) as limit:
                while True:
                    async with self._turns, self._store.database.lead(key) as alone:
                        if alone:
                            limit.reschedule(None)
                            yield
                            return
                    await asyncio.sleep(LOOK_S)
        except TimeoutError as error:
            raise Unavailable("Your container is being stopped or started already. Try again in a moment") from error
