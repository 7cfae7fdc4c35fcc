"""Clearing: containers that nobody needs any more go from LXD, then from PostgreSQL. What fails the janitor does again."""

import asyncio
from functools import partial

import structlog

from terminals.errors import TerminalsError
from terminals.labs.chores import Chores
from terminals.labs.containers import Containers
from terminals.store import Store

log = structlog.get_logger(__name__)


class Clearing:
    """Each container once at a time; `close` awaits what was begun in the background."""

    def __init__(self, store: Store, containers: Containers) -> None:
        self._store = store
        self._containers = containers
        self._chores = Chores("clear")

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
        self._chores.begin(container, partial(self._clear, container))

    async def clear(self, container: str) -> None:
        """Until it is gone, or that failed."""
        if (task := self._chores.begin(container, partial(self._clear, container))) is not None:
            await asyncio.shield(task)

    async def close(self) -> None:
        """What is still under way then is left to the janitor."""
        await self._chores.close()

    async def _clear(self, container: str) -> None:
        try:
            await self._containers.delete(container)
            await self._store.containers.forget(container)
        except TerminalsError as error:
            log.warning("container_not_deleted", container=container, reason=error.message)
        except Exception:
            log.exception("container_not_deleted", container=container)
