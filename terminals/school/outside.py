"""Outside: what somebody else does to labs' containers (an operator, the kernel, LXD itself), seen by LXD's events.

An event only says at which container to look: the row says what is meant, LXD what is. Every instance looks, and finds the same.
Without events all of this still comes about, by sweeps and when the lab is opened.
"""

import asyncio
import random
from functools import partial

import structlog

from terminals.errors import NotFound, TerminalsError
from terminals.fleet.presence import Presence
from terminals.hub import Hub
from terminals.labs.power import Power
from terminals.link.events import Event, events
from terminals.lxd import Lxd
from terminals.school.keeping import Now
from terminals.school.sessions import Sessions
from terminals.store import Store
from terminals.store.lives import Held
from terminals.tallies import counts

log = structlog.get_logger(__name__)

TELLING = {"stopped", "shutdown", "paused", "resumed", "started", "restarted", "deleted"}
AT_ONCE, MOST = 4, 4_096
"""Looks at the same time, and containers that may wait for one: what is beyond that is left to the sweeps."""
AGAIN_S = 0.5
"""LXD tells that a container stopped a moment before it says so itself: then there is one more look."""
MOVING_S, MOVED_S = 20.0, 1.0
"""In a cluster one that is gone may be on its way for so long, and is looked for so often."""
BACKOFF_S = (0.5, 1.0, 2.0, 5.0, 15.0)
RESTS = {"Running": "awake", "Frozen": "asleep", "Stopped": "stopped"}


class Outside:
    """`run` it on every instance."""

    def __init__(  # noqa: PLR0913, PLR0917 - everything that a lab hangs on
        self, store: Store, lxd: Lxd, power: Power, sessions: Sessions, hub: Hub, presence: Presence, now: Now
    ) -> None:
        self._store = store
        self._lxd = lxd
        self._power = power
        self._sessions = sessions
        self._hub = hub
        self._presence = presence
        self._now = now
        self._names: dict[str, bool] = {}
        """Containers to look at, in their order, and whether to look again a little later."""
        self._some = asyncio.Event()
        self.joined = False
        self.seen = counts(*sorted(TELLING))
        """Events by action."""
        self.befallen = counts("asleep", "stopped", "awake", "deleted")
        """How often a live lab's container was found so, against what its row said."""

    async def run(self) -> None:
        """For ever."""
        looking = asyncio.create_task(self._look_on(), name="outside-look")
        try:
            failures = 0
            while True:
                try:
                    async with events(self._lxd.address, self._lxd.project) as told:
                        failures = 0
                        self.joined = True
                        log.info("lxd_events_joined")
                        await self._catch_up()
                        async for event in told:
                            self._hear(event)
                except TerminalsError as error:
                    if self.joined or not failures:
                        log.warning("lxd_events_away", reason=error.message)
                except Exception:
                    log.exception("lxd_events_failed")
                self.joined = False
                # Not all instances at once, when LXD comes back.
                await asyncio.sleep(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)] * random.uniform(0.5, 1.0))  # noqa: S311 - spreads them, no more
                failures += 1
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    async def look(self, container: str) -> bool:
        """What LXD says of it, and what follows for its lab; False: it isn't a live one's."""
        held = await self._store.lives.of_container(container)
        if held is None:
            return False
        if any(terminal.claim.session == held.session for terminal in self._hub.terminals):
            # A stopped one cuts the path, and who mends that starts it; a frozen one says nothing.
            if await self._status(held, container) == "Frozen":
                await self._hub.wake(held.session, container)
            return True
        async with self._power.unless_busy(container) as free:
            # Else one of us is at it, who writes the row.
            if free:
                await self._compare(container)
        return True

    # -- on the way there ----------------------------------------------------------------------------------------------

    async def _compare(self, container: str) -> None:
        held = await self._store.lives.of_container(container)
        if held is None:
            return
        rest = RESTS.get(await self._status(held, container) or "")
        if rest is None or rest == held.rest:
            return
        terminals = [each.id for each in await self._store.terminals.of_session(held.session)]
        if rest != "awake" and await self._presence.of(terminals):
            return  # the instance that has them mends it
        if await self._store.lives.found(held, rest, self._now()):
            self.befallen[rest] += 1
            log.info("session_found", session=held.session, rest=rest, before=held.rest)

    async def _status(self, held: Held, container: str) -> str | None:
        """As LXD calls it; None: the container is gone, and its lab has ended."""
        patience = MOVING_S if self._lxd.whereabouts.of(container) else 0.0
        while True:
            try:
                found = await self._lxd.instance(container)
            except NotFound:
                if patience <= 0:
                    break
            else:
                if patience:
                    await self._store.containers.move({container: found["location"]})
                return str(found["status"])
            # LXD has none of its name for a moment while it moves it from one member of a cluster to another.
            await asyncio.sleep(MOVED_S)
            patience -= MOVED_S
        self.befallen["deleted"] += 1
        await self._sessions.lose(held.session)
        return None

    def _hear(self, event: Event) -> None:
        if event.action not in TELLING:
            return
        self.seen[event.action] += 1
        self._note(event.instance, again=True)

    def _note(self, name: str, *, again: bool) -> None:
        if len(self._names) < MOST:
            self._names[name] = again or self._names.get(name, False)
            self._some.set()

    async def _catch_up(self) -> None:
        """What happened while nobody told us; what is gone then, reconciling finds, carefully."""
        meant = await self._store.lives.held()
        for instance in await self._lxd.instances():
            name = instance["name"]
            if name in meant and RESTS.get(instance["status"], meant[name]) != meant[name]:
                self._note(name, again=False)

    async def _look_on(self) -> None:
        gate = asyncio.Semaphore(AT_ONCE)
        later = asyncio.get_running_loop().call_later

        async def one(name: str, *, again: bool) -> None:
            try:
                if await self.look(name) and again:
                    later(AGAIN_S, partial(self._note, name, again=False))
            except TerminalsError as error:
                log.warning("container_not_seen", container=name, reason=error.message)
            except Exception:
                log.exception("container_not_seen", container=name)
            finally:
                gate.release()

        async with asyncio.TaskGroup() as looks:
            while True:
                await self._some.wait()
                self._some.clear()
                while self._names:
                    await gate.acquire()
                    name = next(iter(self._names))
                    looks.create_task(one(name, again=self._names.pop(name)), name=f"look-{name}")
