"""Clearing: containers that nobody needs any more go from LXD, then from PostgreSQL. What fails the janitor does again."""

import asyncio

import structlog

from terminals.errors import TerminalsError
from terminals.labs.containers import Containers
from terminals.store import Store

log = structlog.get_logger(__name__)

CLOSE_TIMEOUT_S = 8.0
"""What is still under way then is left to the janitor."""


class Clearing:
    """Each container once at a time; `close` awaits what was begun in the background."""

    def __init__(self, store: Store, containers: Containers) -> None:
        self._store = store
        self._containers = containers
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def let_go(self, container: str) -> None:
        """Of one that was being made: its row says so first."""
        try:
            await self._store.containers.let_go(container)
        except TerminalsError as error:
            log.warning("container_not_let_go", container=container, reason=error.message)
            return  # nobody is heard of over it soon
        self.begin(container)

    def begin(self, container: str) -> None:
        """In the background."""
        if container not in self._tasks:
            task = asyncio.create_task(self._clear(container), name=f"clear-{container}")
            self._tasks[container] = task
            task.add_done_callback(lambda _: self._tasks.pop(container, None))

    async def clear(self, container: str) -> None:
        """Until it is gone, or that failed."""
        self.begin(container)
        if (task := self._tasks.get(container)) is not None:
            await asyncio.shield(task)

    async def close(self) -> None:
        if self._tasks:
            _, late = await asyncio.wait(self._tasks.values(), timeout=CLOSE_TIMEOUT_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _clear(self, container: str) -> None:
        try:
            await self._containers.delete(container)
            await self._store.containers.forget(container)
        except TerminalsError as error:
            log.warning("container_not_deleted", container=container, reason=error.message)
        except Exception:
            log.exception("container_not_deleted", container=container)
