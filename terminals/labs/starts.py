"""Starts: the queue of sessions that begin. Rows in PostgreSQL, oldest first; any instance goes on with a dead one's."""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import structlog

from terminals.errors import NotFound, Refused, TerminalsError, Unavailable
from terminals.labs.admission import Admission
from terminals.labs.chores import Chores
from terminals.labs.clearing import Clearing
from terminals.labs.containers import Containers
from terminals.labs.power import Power
from terminals.lxd import AWAY
from terminals.store import Store
from terminals.store.containers import Site, Taken
from terminals.store.sessions import FREED_S, Start
from terminals.tallies import Durations

log = structlog.get_logger(__name__)

LOOK_S = 2.0
"""Between two looks for starts that nobody told of: of an instance that died."""
BEAT_S = 4.0
REMEMBERED = 1_000
PATIENCE_S, AGAIN_S = 180.0, 1.0
"""A start waits for LXD for so long, and looks for it so often."""
DELAYED = "The lab host is restarting; your lab starts as soon as it is back"
READY = "Getting your container ready"
TOO_LARGE = "lesson_too_large"
NOT_MADE = "The lab host couldn't make your container. Try again; if that doesn't help, tell your teacher"
"""LXD's own words are for operators: they name folders of its host. They are in the log."""
GOING_S = 30.0
"""For LXD to delete one that was given back, before another is."""


class _NotOurs(Exception):
    """The session was ended while it started, or another instance goes on with it."""


class Starts:
    """Works on starts: so many of all instances together as `admission` says, for LXD suffers from mass opens."""

    def __init__(
        self,
        store: Store,
        containers: Containers,
        clearing: Clearing,
        power: Power,
        instance: str,
        admission: Admission,
    ) -> None:
        self._store = store
        self._containers = containers
        self._clearing = clearing
        self._power = power
        self._instance = instance
        self._admission = admission
        self._wake = asyncio.Event()
        self._chores, self._tagging = Chores("start"), Chores("tag")
        """By session, and by container."""
        self.took: dict[str, Durations] = {way: Durations() for way in ("awake", "frozen", "made")}
        """From the begin to live, by what the student got: a container that ran, one that was frozen, a new one."""
        self.failed = 0
        self.waiting = 0
        """In the queue or under way, on all instances, when last looked."""
        self._contexts: dict[str, Context] = {}
        """Session → the request that began it, for the logs."""
        self.used: Callable[[], None] = lambda: None
        """Is told that a waiting container was taken."""

    async def at_once(self, start: Start) -> bool:
        """From a container that waits, if nobody waits longer for one; False: it is in the queue.

        One that is too large for the hosts has failed, in words.
        """
        if words := self._admission.never(start.needs):
            await self._refuse(start, words)
            return True
        self._contexts[start.session] = copy_context()
        while len(self._contexts) > REMEMBERED:
            del self._contexts[next(iter(self._contexts))]
        template = self._containers.templates.known(start.needs.image)
        if template is None or not self._containers.networks.fresh(start.needs.network):
            return False
        taken = await self._store.containers.take_ready(
            start.session,
            template,
            start.needs,
            self._instance,
            self._admission.up,
            first=True,
            larger=not self._admission.full,
        )
        if taken is None:
            return False
        self.used()
        if taken.fits and not taken.frozen:
            await self._finish(start, taken)
        else:
            self._spawn(start, partial(self._fit, taken=taken))
        return True

    async def standing(self, session: str) -> tuple[int, int | None]:
        """Place in the queue (1: next; 0: under way), and the seconds that are left, about; None: nobody can tell."""
        found = await self._store.sessions.standing(session)
        if found.full:
            # A place gets free when somebody ends: as often as that happened of late.
            return found.place, round(max(1, found.place) * FREED_S / found.freed) if found.freed else None
        rounds = -(-found.place // self._admission.policy.at_once)
        return found.place, max(1, round((rounds + 1) * found.seconds))

    def look(self) -> None:
        """There may be something to start."""
        self._wake.set()

    async def run(self) -> None:
        """For ever: the oldest start first, as long as so few are under way."""
        beating = asyncio.create_task(self._beat(), name="starts-beat")
        try:
            await self._admission.first()
            while True:
                try:
                    self.waiting = await self._store.sessions.starting()
                    while self.waiting and (start := await self._pick()) is not None:
                        self._spawn(start, self._work)
                    if not self.waiting:
                        await self._admission.note(full=False)
                except TerminalsError as error:
                    log.warning("starts_not_seen", reason=error.message)
                except Exception:
                    # Nobody starts anything when this loop is dead.
                    log.exception("starts_failed")
                await self._wait()
        finally:
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)

    async def close(self) -> None:
        """What LXD is at is waited for a little; then another instance goes on with it."""
        await asyncio.gather(self._chores.close(), self._tagging.close())
        try:
            await self._store.sessions.release(self._instance)
        except TerminalsError as error:
            log.warning("starts_not_released", reason=error.message)  # then they are picked when nobody beats for them

    async def _pick(self) -> Start | None:
        """The oldest one is ours now; None: none waits, or it waits for its turn or for room."""
        sessions, admission = self._store.sessions, self._admission
        while True:
            templates = self._containers.templates.all_known()
            start = await sessions.pick(
                self._instance, admission.policy.at_once, admission.room, templates, admission.up
            )
            if start is None or not (words := admission.never(start.needs)):
                break
            await self._refuse(start, words)
        if start is None:
            await admission.note(full=False)
            return None
        await sessions.crowd(full=not start.admitted)
        if start.admitted:
            # Who comes next may have to wait still.
            return start
        await admission.note(full=True)
        # What waits is of no use to who is next.
        if (name := await self._store.promises.give_back(GOING_S)) is not None:
            log.info("container_given_back", container=name, session=start.session)
            self._clearing.begin(name)
        return None

    async def _refuse(self, start: Start, words: str) -> None:
        """It can't get better by waiting."""
        log.warning("session_start_failed", session=start.session, code=TOO_LARGE, reason=words)
        self.failed += 1
        await self._store.sessions.end(start.session, (TOO_LARGE, words))

    # -- one start -----------------------------------------------------------------------------------------------------

    async def _work(self, start: Start) -> None:
        """Goes on with what an earlier one has taken, else takes what waits, else makes one."""
        await self._say(start, "Preparing the lab's system", 0)
        await self._containers.networks.check(start.needs.network)
        if (taken := await self._store.containers.taken_by(start.session, start.needs)) is not None:
            await self._resume(start, taken)
            return
        template = await self._containers.templates.of(start.needs.image)
        taken = await self._store.containers.take_ready(
            start.session, template, start.needs, self._instance, self._admission.up
        )
        if taken is not None:
            self.used()
            await self._fit(start, taken=taken)
        else:
            await self._make(start, template)

    async def _resume(self, start: Start, taken: Taken) -> None:
        """With what another instance took and died over, or what is restored: it may rest still."""
        await self._say(start, READY, 2)
        try:
            await self._power.wake(taken.name)
        except NotFound as error:
            message = "The lab's container is gone from the host, and its files with it. Start the lab again"
            raise Refused(message, code="container_gone") from error
        except Unavailable as error:
            # Nobody has been in it: another one, elsewhere, is as good.
            if error.code == AWAY and taken.fresh and await self._store.containers.give_up(taken.name, start.session):
                log.warning("container_left", container=taken.name, session=start.session, reason=error.message)
            raise
        await self._fit(start, taken=replace(taken, frozen=False))

    async def _make(self, start: Start, template: str) -> None:
        plan = self._containers.networks.of(start.needs.network)
        site = Site(self._admission.places(), plan.address if plan is not None else None)
        made = await self._store.containers.add(start.session, template, start.needs, self._instance, site)
        if made is None:
            return
        name, tags, say = made.name, _tags(start), partial(self._say, start)
        making = asyncio.ensure_future(self._containers.make(name, start.needs, tags, say, made.address, made.member))
        try:
            await asyncio.shield(making)
        except BaseException:
            # A thread can't be cancelled: what LXD makes now must be there before it is deleted.
            await asyncio.gather(making, return_exceptions=True)
            await self._clearing.let_go(name)
            raise
        if await self._store.containers.take(name, start.session):
            await self._live(start, name, "made")
        else:
            await self._clearing.let_go(name)

    async def _fit(self, start: Start, *, taken: Taken) -> None:
        await self._say(start, READY, 2)
        if taken.frozen:
            await self._containers.unfreeze(taken.name)
        if not taken.fits:
            await self._containers.fit(taken.name, start.needs, _tags(start))
        await self._store.containers.fitted(taken.name, start.needs)
        await self._finish(start, taken)

    async def _finish(self, start: Start, taken: Taken) -> None:
        await self._live(start, taken.name, "frozen" if taken.frozen else "awake")
        if taken.fits:
            self._spawn_tagging(start, taken.name)

    async def _live(self, start: Start, name: str, way: str) -> None:
        seconds = await self._store.sessions.go_live(start.session, self._instance)
        if seconds is None:
            return
        self.took[way].add(seconds)
        log.info("session_live", session=start.session, container=name, way=way, seconds=round(seconds, 3))
        self.look()

    async def _say(self, start: Start, step: str, done: int) -> None:
        if not await self._store.sessions.say(start.session, self._instance, step, done):
            raise _NotOurs

    # -- tasks ---------------------------------------------------------------------------------------------------------

    def _spawn(self, start: Start, work: Callable[[Start], Coroutine[None, None, None]]) -> None:
        if (before := self._chores.of(start.session)) is not None:
            # Put back and picked again before its task was through, or so slow that nobody seemed to be at it.
            before.add_done_callback(lambda _: self._spawn(start, work))
            return
        context = self._contexts.pop(start.session, None)
        task = self._chores.begin(start.session, partial(self._guard, start, work), context)
        if task is not None:
            task.add_done_callback(lambda _: self.look())

    async def _guard(self, start: Start, work: Callable[[Start], Coroutine[None, None, None]]) -> None:
        try:
            await work(start)
        except _NotOurs:
            log.info("session_start_left", session=start.session)
        except Unavailable as error:
            await self._again(start, error)
        except TerminalsError as error:
            log.warning("session_start_failed", session=start.session, code=error.code, reason=error.message)
            await self._fail(start, error.code, NOT_MADE if error.code == Refused.code else error.message)
        except Exception:
            log.exception("session_start_failed", session=start.session)
            await self._fail(start, "internal", "Something went wrong while your lab started. Start it again")

    async def _again(self, start: Start, error: Unavailable) -> None:
        """A service is away: a start waits for it as long as a person may, and goes on with what it has."""
        log.warning("session_start_delayed", session=start.session, reason=error.message)
        if start.age > PATIENCE_S:
            await self._fail(start, error.code, error.message)
            return
        await asyncio.sleep(AGAIN_S)
        try:
            await self._store.sessions.put_back(start.session, self._instance, DELAYED)
        except TerminalsError as away:
            log.warning("session_not_put_back", session=start.session, reason=away.message)

    async def _fail(self, start: Start, code: str, message: str) -> None:
        self.failed += 1
        try:
            await self._store.sessions.end(start.session, (code, message), starter=self._instance)
        except TerminalsError as error:
            # The row still says starting: somebody picks it when nobody beats for it any more.
            log.warning("session_not_ended", session=start.session, reason=error.message)

    def _spawn_tagging(self, start: Start, name: str) -> None:
        """Beside the prompt: LXD takes its time."""

        async def tag() -> None:
            try:
                await self._containers.tag(name, _tags(start))
            except TerminalsError as error:
                log.info("container_not_tagged", container=name, reason=error.message)

        self._tagging.begin(name, tag)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            try:
                await self._store.sessions.beat(self._chores.names, self._instance)
                await self._store.containers.hear(self._instance)
            except TerminalsError as error:
                log.warning("starts_beat_failed", reason=error.message)

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(LOOK_S):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()


def _tags(start: Start) -> dict[str, str]:
    """`begun`: users made later aren't meant, whatever their number is in a database that was restored."""
    begun = datetime.now(UTC).isoformat()
    return {"session": start.session, "user": str(start.user), "lesson": start.lesson, "begun": begun}
