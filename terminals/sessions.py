"""Sessions: starting and ending a student's run of a lesson. Rows say what is meant; LXD follows."""

import asyncio
from collections.abc import Coroutine

import structlog

from terminals.bus import Bus
from terminals.errors import Conflict, NotFound, TerminalsError
from terminals.hub import Hub
from terminals.pool import Pool
from terminals.store import Store
from terminals.store.lessons import Needs
from terminals.store.terminals import MOST

log = structlog.get_logger(__name__)

CLOSE_TIMEOUT_S = 8
"""What is still under way then is left to the janitor."""
BEAT_S = 5
"""A start that takes long says so often that its instance lives."""


class Sessions:
    """The verbs of a session. Owns the tasks that start and clear up; `close` awaits them."""

    def __init__(self, store: Store, pool: Pool, hub: Hub, bus: Bus, instance: str) -> None:
        self._store = store
        self._pool = pool
        self._hub = hub
        self._bus = bus
        self._instance = instance
        self._tasks: set[asyncio.Task[None]] = set()
        self._clearing: set[str] = set()

    async def start(self, user: int, lesson: str) -> str:
        """The id of the user's running session of the lesson, or of a new one that begins to start now.

        Raises:
            NotFound: no such lesson for this user.
        """
        needs = await self._store.lessons.needs(lesson, user)
        if needs is None:
            raise NotFound("There is no such lesson in your courses")
        session, new = await self._store.sessions.begin(user, lesson, self._instance)
        if new:
            log.info("session_begun", session=session, lesson=lesson)
            self._spawn(self._start(session, user, lesson, needs))
        return session

    async def end(self, session: str, error: tuple[str, str] | None = None, by: str = "other") -> None:
        """Idempotent; `by`: student, idle or other.

        The container is deleted in the background; what fails there the janitor does again.
        """
        former = await self._store.sessions.end(session, error, by)
        if former is None:
            return
        log.info("session_ended", session=session, by=by, error=error[0] if error else None)
        # Pages first: a terminal whose container stops under it would try to wake it.
        await self._hub.end_session(session)
        await self._bus.notify("ended", session)
        container = await self._store.containers.of_session(session)
        # A container in the making is its maker's to clear: LXD may not have made it yet.
        if container is not None and former == "live":
            self._spawn(self.clear(container))

    async def add_terminal(self, session: str, state: str) -> str:
        """One more terminal.

        Raises:
            Conflict: the session isn't live, or has as many as it may.
        """
        if state != "live":
            raise Conflict("This lab isn't running", code="not_live")
        terminal = await self._store.terminals.add(session)
        if terminal is None:
            raise Conflict(f"A lab has at most {MOST} terminals: close one", code="too_many")
        return terminal

    async def name_terminal(self, terminal: str, session: str, title: str | None) -> None:
        """Gives a terminal a name of its own; None: it is named by what runs in it again.

        Raises:
            NotFound: the session has no such terminal.
        """
        if not await self._store.terminals.name(terminal, session, title):
            raise NotFound("This lab has no such terminal")

    async def clear(self, container: str) -> None:
        """Deletes a container whose session has ended, then its row."""
        if container in self._clearing:
            return
        self._clearing.add(container)
        try:
            await self._pool.delete(container)
            await self._store.containers.forget(container)
        except TerminalsError as error:
            log.warning("container_not_deleted", container=container, reason=error.message)
        finally:
            self._clearing.discard(container)

    async def close(self) -> None:
        """Ends what is under way: a cut start is ended as failed, a cut deletion is the janitor's."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=CLOSE_TIMEOUT_S)
            if late:
                log.warning("session_tasks_left", count=len(late))

    async def _start(self, session: str, user: int, lesson: str, needs: Needs) -> None:
        name = f"s-{session}"
        beat = asyncio.create_task(self._beat(session))
        try:
            await self._launch(session, name, needs, {"session": session, "user": str(user), "lesson": lesson})
        except TerminalsError as error:
            log.warning("session_start_failed", session=session, code=error.code, reason=error.message)
            await self._fail(session, name, error.code, error.message)
        except BaseException:
            await asyncio.shield(
                self._fail(session, name, "interrupted", "The server was stopped meanwhile. Start again")
            )
            raise
        finally:
            beat.cancel()
            await asyncio.gather(beat, return_exceptions=True)

    async def _launch(self, session: str, name: str, needs: Needs, tags: dict[str, str]) -> None:
        async def say(step: str, done: int) -> None:
            if not await self._store.sessions.say(session, step, done):
                raise Conflict("the session was ended while it started", code="ended")

        if not await self._store.containers.add(name, session):
            return
        making = asyncio.ensure_future(self._pool.make(name, needs, tags, say))
        try:
            await asyncio.shield(making)
        except asyncio.CancelledError:
            # A thread can't be cancelled: what LXD makes now must be there before it is deleted.
            await asyncio.gather(making, return_exceptions=True)
            raise
        await self._store.terminals.add(session)
        if await self._store.containers.take(name) and await self._store.sessions.go_live(session):
            log.info("session_live", session=session, container=name)
        else:
            await self.clear(name)

    async def _fail(self, session: str, name: str, code: str, message: str) -> None:
        try:
            await self._store.sessions.end(session, (code, message))
        except TerminalsError as error:
            # The row still says starting: the janitor ends it when nobody has beaten for it.
            log.warning("session_not_ended", session=session, reason=error.message)
            return
        await self.clear(name)

    async def _beat(self, session: str) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            try:
                await self._store.sessions.beat(session)
            except TerminalsError as error:
                log.warning("session_beat_failed", session=session, reason=error.message)

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("session_task_failed", exc_info=error)
