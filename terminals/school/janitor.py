"""Janitor: makes LXD and the rows agree again after whatever died half-way. Idempotent; one instance at a time does it."""

import asyncio
import time

import structlog

from terminals.errors import TerminalsError
from terminals.labs.reconcile import Findings, Reconciler
from terminals.school.keeper import Keeper
from terminals.school.sessions import Sessions
from terminals.store import Store

log = structlog.get_logger(__name__)

RECONCILE_S = 60.0
"""Between two looks at all that LXD has."""
RESTART_S = 15.0
"""A restart takes two or three seconds."""
LEADER = 0x6564_7563
"""The advisory lock's key: ASCII "educ"."""


class Janitor:
    """Sweeps: labs whose time is over or that nobody uses, restarts nobody finished, and what doesn't agree with LXD."""

    def __init__(self, store: Store, sessions: Sessions, reconciler: Reconciler, keeper: Keeper, every: float) -> None:
        """`every`: seconds between two sweeps."""
        self._store = store
        self._sessions = sessions
        self._reconciler = reconciler
        self._keeper = keeper
        self._every = every
        self._reconciled_at = 0.0
        self.sessions: dict[str, int] = {}
        """How many there are, by state: starting, awake, asleep, stopped; as last looked."""
        self.containers: dict[str, int] = {}
        """By state."""
        self.found: Findings | None = None
        """By the last comparison that this instance made, if it has."""
        self.found_at = 0.0
        """When, in unix seconds."""

    async def run(self) -> None:
        """For ever; a sweep that fails is tried again at the next turn."""
        while True:
            try:
                self.sessions = await self._store.sessions.census()
                self.containers = await self._store.containers.census()
                async with self._store.database.lead(LEADER) as leading:
                    if leading:
                        await self.sweep()
            except TerminalsError as error:
                log.warning("sweep_failed", reason=error.message)
            except Exception:
                # Nobody sweeps when this loop is dead.
                log.exception("sweep_failed")
            await asyncio.sleep(self._every)

    async def sweep(self) -> None:
        """Once, whoever leads."""
        await self._keeper.turn()
        for session in await self._store.sessions.restarting(RESTART_S):
            try:
                await self._sessions.finish_restart(session)
            except TerminalsError as error:
                log.warning("session_not_restarted", session=session, reason=error.message)
        await self._reconciler.clear()
        if time.monotonic() - self._reconciled_at >= RECONCILE_S:
            self._reconciled_at = time.monotonic()
            found = self.found = await self._reconciler.run()
            self.found_at = time.time()
            for session in [] if found.too_much else found.lost:
                await self._sessions.lose(session)
