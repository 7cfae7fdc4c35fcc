"""Sessions: starting and ending a student's run of a lesson. Rows say what is meant; LXD follows."""

import structlog

from terminals.errors import Conflict, NotFound
from terminals.fleet.bus import Bus
from terminals.hub import Hub
from terminals.labs.clearing import Clearing
from terminals.labs.power import Power
from terminals.labs.starts import Starts
from terminals.store import Store
from terminals.store.lessons import Needs
from terminals.store.sessions import Session, Start
from terminals.store.terminals import MOST
from terminals.tallies import counts

log = structlog.get_logger(__name__)

LOST = ("container_gone", "Your lab's container is gone from the host. Start the lab again; your teacher may know more")


class Sessions:
    """The verbs of a session."""

    def __init__(self, store: Store, starts: Starts, clearing: Clearing, power: Power, hub: Hub, bus: Bus) -> None:
        self._store = store
        self._starts = starts
        self._clearing = clearing
        self._power = power
        self._hub = hub
        self._bus = bus
        self.ended = counts("student", "idle", "deadline", "reset", "lost", "other")
        """How often a lab was ended here, by what."""
        self.remade = counts("reset", "restore", "restart")
        """How often a lab was, here."""

    async def start(self, user: int, lesson: str) -> str:
        """The id of the user's running session of the lesson, or of a new one that begins to start now.

        Raises:
            NotFound: no such lesson for this user.
        """
        needs = await self._needs(user, lesson)
        session, new = await self._store.sessions.begin(user, lesson)
        if new:
            log.info("session_begun", session=session, lesson=lesson)
            if not await self._starts.at_once(Start(session, user, lesson, needs)):
                self._starts.look()
        return session

    async def end(self, session: str, error: tuple[str, str] | None = None, by: str = "other") -> None:
        """Idempotent; `by`: student, idle, deadline or other.

        The container is deleted in the background; what fails there the janitor does again.
        """
        former = await self._store.sessions.end(session, error, by)
        if former is None:
            return
        self.ended["lost" if error == LOST else by] += 1
        log.info("session_ended", session=session, by=by, error=error[0] if error else None)
        # Pages first: a terminal whose container stops under it would try to wake it.
        await self._hub.end_session(session)
        await self._bus.notify("ended", session)
        container = await self._store.containers.of_session(session)
        # A container in the making is its maker's to clear: LXD may not have made it yet.
        if container is not None and former == "live":
            self._clearing.begin(container)

    async def lose(self, session: str) -> None:
        """Ends it: LXD hasn't its container any more."""
        log.warning("session_lost", session=session)
        await self.end(session, LOST)

    async def reset(self, session: Session) -> str:
        """Ends it, and begins a new one of the same lesson at once, whose id this is. Its container is kept for a week.

        Raises:
            Conflict: it isn't live.
            NotFound: the lesson isn't in the user's courses any more.
        """
        needs = await self._needs(session.user_id, session.lesson_id)
        container = await self._store.containers.of_session(session.id)
        new = await self._store.kept.reset(session.id)
        self.remade["reset"] += 1
        await self._exchanged(session.id, new, container)
        if not await self._starts.at_once(Start(new, session.user_id, session.lesson_id, needs)):
            self._starts.look()
        return new

    async def restore(self, session: Session) -> str:
        """The same with the container that was kept, files and all: the new session begins with it.

        Raises:
            Conflict: it isn't live, or nothing is kept.
            NotFound: as `reset`.
        """
        await self._needs(session.user_id, session.lesson_id)
        container = await self._store.containers.of_session(session.id)
        new = await self._store.kept.restore(session.id)
        self.remade["restore"] += 1
        await self._exchanged(session.id, new, container)
        self._starts.look()
        return new

    async def restart(self, session: str) -> None:
        """All its programs end, its terminals are gone and there is a new first one; files stay.

        Raises:
            Conflict: it isn't live, or is being restarted.
            Refused, Unavailable: LXD's answer; the janitor goes on with it.
        """
        if not await self._store.sessions.begin_restart(session):
            raise Conflict("This lab isn't running, or is being restarted already", code="not_live")
        log.info("session_restarting", session=session)
        # Pages first: a terminal whose container stops under it would try to wake it.
        await self._hub.restart_session(session)
        await self._bus.notify("restarting", session)
        await self.finish_restart(session)

    async def finish_restart(self, session: str) -> None:
        """What was begun, and whoever did it died or was refused. Idempotent."""
        container = await self._store.containers.of_session(session)
        if container is not None:
            await self._power.restart(container, session)
        await self._store.sessions.restarted(session)
        self.remade["restart"] += 1
        log.info("session_restarted", session=session)

    async def _needs(self, user: int, lesson: str) -> Needs:
        needs = await self._store.lessons.needs(lesson, user)
        if needs is None:
            raise NotFound("There is no such lesson in your courses")
        return needs

    async def _exchanged(self, old: str, new: str, container: str | None) -> None:
        self.ended["reset"] += 1
        log.info("session_reset", session=old, successor=new, container=container)
        await self._hub.end_session(old)
        await self._bus.notify("ended", old)
        if container is not None:
            self._power.begin_rest(container)

    async def add_terminal(self, session: str, state: str, *, restarting: bool = False) -> str:
        """One more terminal.

        Raises:
            Conflict: the session isn't live, is restarting, or has as many as it may.
        """
        if restarting:
            raise Conflict("The container of this lab is being restarted. Try again in a moment", code="restarting")
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
