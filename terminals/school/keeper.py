"""Keeper: ends labs whose deadline is over, and puts to rest those that nobody uses: first to sleep, then stopped, then ended.

A lab is used while a page of its student's is open, while somebody who was let in types, and while a program other than the shell
is in the foreground of a terminal. Daemons and jobs in the background don't count.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

from terminals.errors import TerminalsError, Unavailable
from terminals.fleet.bus import Bus
from terminals.fleet.presence import Presence
from terminals.labs.containers import Containers
from terminals.labs.power import Power
from terminals.labs.shells import Shells
from terminals.school.keeping import Now
from terminals.school.sessions import Sessions
from terminals.store import Store
from terminals.store.lives import Life, Patience
from terminals.tallies import counts

log = structlog.get_logger(__name__)

MOST, AT_ONCE = 40, 4
"""Labs in one turn, and of those at the same time: LXD suffers from mass freezes."""
HOLDERS_S = 15.0
"""For a lab's holders to say what runs. They may be hostile, and others wait: who doesn't answer isn't busy."""
DETACH_S, LOOK_S = 6.0, 0.2
"""For the instances that have its terminals to let go, between two looks whether they have."""


class Keeper:
    """`turn` it on one instance at a time."""

    def __init__(  # noqa: PLR0913, PLR0917 - everything that a lab hangs on
        self,
        store: Store,
        sessions: Sessions,
        power: Power,
        shells: Shells,
        presence: Presence,
        bus: Bus,
        patience: Patience,
        now: Now,
    ) -> None:
        self._store = store
        self._sessions = sessions
        self._power = power
        self._shells = shells
        self._presence = presence
        self._bus = bus
        self._patience = patience
        self._now = now
        self.steps = counts("asleep", "stopped", "idle", "deadline")
        """How often a lab was put to sleep or stopped, or ended for want of use or because its time was over."""

    async def turn(self) -> None:
        """Once: each lab that something is due for takes one step. What fails is due again at the next turn.

        Raises:
            Unavailable: PostgreSQL doesn't answer.
        """
        gate = asyncio.Semaphore(AT_ONCE)

        async def take(session: str) -> None:
            async with gate:
                try:
                    await self.look(session)
                except TerminalsError as error:
                    log.warning("session_not_kept", session=session, reason=error.message)
                except Exception:
                    # The other labs' steps are under way.
                    log.exception("session_not_kept", session=session)

        due = await self._store.lives.due(self._now(), self._patience, MOST)
        await asyncio.gather(*(take(session) for session in due))

    async def look(self, session: str) -> None:
        """One lab takes its step, if one is due now: others may have taken long, and it may have been extended meanwhile."""
        now = self._now()
        life = await self._store.lives.of_session(session, now, self._patience)
        if life is not None and min(life.deadline, life.idle_at) <= now:
            await self._step(life, over=life.deadline <= now)

    async def _step(self, life: Life, *, over: bool) -> None:
        if over:
            log.info("session_over", session=life.session, extended=life.extended)
            self.steps["deadline"] += 1
            await self._sessions.end(life.session, by="deadline")
        elif life.rest == "stopped":
            await self._end(life)
        elif life.rest == "asleep":
            await self._rest(life, "stopped", lambda containers, name: containers.stop(name))
        elif await self._busy(life.session):
            await self._store.lives.use([life.session], self._now())
        else:
            await self._rest(life, "asleep", lambda containers, name: containers.sleep(name))

    async def _end(self, life: Life) -> None:
        # The row first: it says whether somebody came back in this very moment.
        if await self._store.lives.rest(life, "stopped", self._now()):
            log.info("session_unused", session=life.session)
            self.steps["idle"] += 1
            await self._sessions.end(life.session, by="idle")

    async def _rest(self, life: Life, rest: str, do: Callable[[Containers, str], Awaitable[None]]) -> None:
        session = life.session
        container = await self._store.containers.of_session(session)
        if container is None:
            return
        async with self._power.alone(container) as containers:
            # The row first: whoever opens it from now on says so there, before asking anything of LXD.
            if not await self._store.lives.rest(life, rest, self._now()):
                return
            try:
                await self._let_go(session)
                if await self._store.lives.resting(session) != rest:
                    return
                await do(containers, container)
            except BaseException:
                await asyncio.shield(self._undo(life))
                raise
            if await self._store.lives.resting(session) == "awake":
                await containers.wake(container)  # else its student's path would be dead without saying so
            else:
                self.steps[rest] += 1
                log.info("session_rested", session=session, container=container, rest=rest)

    async def _undo(self, life: Life) -> None:
        """As if nobody had tried."""
        try:
            await self._store.lives.unrest(life)
        except TerminalsError as error:
            log.warning("rest_not_undone", session=life.session, rest=life.rest, reason=error.message)

    async def _let_go(self, session: str) -> None:
        """Every exec into it is detached: a frozen bridge answers nobody.

        Raises:
            Unavailable: an instance still has a terminal of it, or Redis doesn't answer.
        """
        terminals = [each.id for each in await self._store.terminals.of_session(session)]
        await self._bus.notify("rest", session)
        limit = time.monotonic() + DETACH_S
        while await self._presence.of(terminals):
            if time.monotonic() > limit:
                raise Unavailable("an instance still has a terminal of this lab")
            await asyncio.sleep(LOOK_S)

    # -- whether it is used --------------------------------------------------------------------------------------------

    async def _busy(self, session: str) -> bool:
        """What instances that have its terminals know, and else what the terminals' holders say."""
        born = await self._store.terminals.born_in(session)
        known = await self._presence.of([claim.terminal for claim in born])
        if any(facts.viewers or not facts.shell for facts in known.values()):
            return True
        try:
            async with asyncio.timeout(HOLDERS_S):
                for claim in born:
                    if claim.terminal not in known and await self._shells.busy(claim):
                        return True
        except TimeoutError:
            log.info("session_not_seen", session=session)
        return False
