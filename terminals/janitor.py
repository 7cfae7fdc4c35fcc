"""Janitor: makes LXD and the rows agree again after whatever died half-way. Idempotent; one instance at a time does it."""

import asyncio

import structlog

from terminals.errors import TerminalsError
from terminals.sessions import Sessions
from terminals.store import Store

log = structlog.get_logger(__name__)

EVERY_S = 20
ABANDONED_S = 30
"""A start that nobody beats for (every 5 s) has lost its instance."""
LEADER = 0x6564_7563
"""The advisory lock's key: ASCII "educ"."""


class Janitor:
    """Sweeps: sessions nobody touched, starts whose instance died, containers that LXD still has to delete."""

    def __init__(self, store: Store, sessions: Sessions, idle_hours: float) -> None:
        self._store = store
        self._sessions = sessions
        self._idle_hours = idle_hours

    async def run(self) -> None:
        """For ever; a sweep that fails is tried again at the next turn."""
        while True:
            try:
                async with self._store.database.lead(LEADER) as leading:
                    if leading:
                        await self.sweep()
            except TerminalsError as error:
                log.warning("sweep_failed", reason=error.message)
            except Exception:
                # Nobody sweeps when this loop is dead.
                log.exception("sweep_failed")
            await asyncio.sleep(EVERY_S)

    async def sweep(self) -> None:
        """Once, whoever leads."""
        for session in await self._store.sessions.untouched(self._idle_hours):
            log.info("session_untouched", session=session)
            await self._sessions.end(session, by="idle")
        for session in await self._store.sessions.abandoned(ABANDONED_S):
            log.warning("session_abandoned", session=session)
            await self._sessions.end(
                session, ("interrupted", "The server stopped while your lab was starting. Start again")
            )
        for container in await self._store.containers.gone(ABANDONED_S):
            await self._sessions.clear(container)
