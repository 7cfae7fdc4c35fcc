"""Classroom: what an instructor may know of a course's sessions while they run."""

import time
from dataclasses import dataclass

from terminals.errors import NotFound
from terminals.presence import Facts, Presence
from terminals.store import Store
from terminals.store.courses import Course
from terminals.store.sessions import Running
from terminals.store.terminals import Titled, Watched

UNKNOWN = "There is no such course, or you don't teach it"


@dataclass(frozen=True, slots=True)
class Seat:
    """One running session with its terminals; `facts`, `state` and `quiet` as `Facts` has them."""

    session: Running
    terminals: list[tuple[Titled, Facts | None, str, int | None]]


class Classroom:
    """Reads; changes nothing."""

    def __init__(self, store: Store, presence: Presence) -> None:
        self._store = store
        self._presence = presence

    async def course(self, course: str, user: int) -> Course:
        """The course, for one of its instructors.

        Raises:
            NotFound: there is none, or `user` doesn't teach it: nobody else is told which.
        """
        found = await self._store.courses.of_instructor(course, user)
        if found is None:
            raise NotFound(UNKNOWN)
        return found

    async def watched(self, terminal: str, user: int) -> Watched:
        """A live terminal that `user` may watch.

        Raises:
            NotFound: there is none, or it isn't theirs to see: nobody is told which.
        """
        found = await self._store.terminals.watched(terminal, user)
        if found is None:
            raise NotFound("There is no such terminal, or it isn't open any more")
        return found

    async def live(self, course: str, user: int) -> tuple[Course, list[Seat]]:
        """Everybody of the course who is in a lab now, by name.

        Raises:
            NotFound: as `course`.
            Unavailable: PostgreSQL or Redis doesn't answer.
        """
        found = await self.course(course, user)
        running = await self._store.sessions.running_in(course)
        terminals = await self._store.terminals.running_in(course)
        facts = await self._presence.of([terminal.id for terminal in terminals])
        now = time.time()
        seats = {session.id: Seat(session, []) for session in running}
        for terminal in terminals:
            known = facts.get(terminal.id)
            seat = seats.get(terminal.session_id)
            if seat is not None:
                state = known.state(now) if known else "away"
                seat.terminals.append((terminal, known, state, known.quiet(now) if known else None))
        return found, list(seats.values())
